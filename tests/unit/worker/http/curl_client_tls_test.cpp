// Whom a worker believes to be the endpoint that it was told to call: everything that a key or a
// prompt could get to the wrong server by.
#include "tests/unit/worker/http/curl_client_harness.hpp"
#include "tests/unit/worker/http/tls_server.hpp"

#include <cstdlib>
#include <filesystem>
#include <openssl/conf.h>

namespace curl_client_tls_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

struct Scene {
  Scene() {
    char name[] = "/tmp/gristmill-tls-XXXXXX";
    directory = ::mkdtemp(name);
    authority.write(ca_file());
    ::setenv("GRISTMILL_TEST_KEY", "sk-a-key-of-some-length", 1);
  }
  ~Scene() {
    ::unsetenv("GRISTMILL_TEST_KEY");
    fs::remove_all(directory);
  }
  std::string ca_file() const { return directory / "ca.pem"; }

  CallEnded call(const std::string& url, const std::string& trusted) const {
    CurlClientOptions options;
    options.ca_file = trusted;
    Calls calls{options};
    HttpCall call = calls.call(url);
    call.api_key_env = "GRISTMILL_TEST_KEY";
    return calls.run(std::move(call));
  }

  fs::path directory;
  Certificate authority{{}};
};

const std::string here = "DNS:localhost,IP:127.0.0.1";

// OpenSSL's defaults of this process, as a machine's openssl.cnf may have them for an old server.
class WeakOpenSsl {
public:
  explicit WeakOpenSsl(const fs::path& directory) {
    const std::string path = directory / "weak.cnf";
    std::ofstream{path} << "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\n"
                           "system_default = weak\n[weak]\nMinProtocol = TLSv1\n"
                           "CipherString = DEFAULT:@SECLEVEL=0\n";
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr); // the machine's first
    REQUIRE(CONF_modules_load_file(path.c_str(), nullptr, 0) == 1);
  }
  ~WeakOpenSsl() { CONF_modules_load_file(nullptr, nullptr, CONF_MFLAGS_DEFAULT_SECTION); }
};

} // namespace

TEST_CASE("a server with a certificate of an authority that was named is called") {
  const Scene scene;
  TlsServer server{Certificate{{here}, &scene.authority}};
  const CallEnded ended = scene.call(server.url(), scene.ca_file());
  INFO(ended.message);
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.http_status == 200);
  CHECK_THAT(server.all_that_came(), Contains("Bearer sk-a-key-of-some-length"));
}

TEST_CASE("a server that cannot show who it is gets not one byte of a request") {
  struct Row {
    std::string what, says;
    Certificate::Wish wish;
    bool is_signed = true, authority_is_known = true;
  };
  const auto row = GENERATE(Row{"of an unknown authority", "certificate", {here}, true, false},
                            Row{"that signed itself", "certificate", {here}, false, true},
                            Row{"whose time is over", "expired", {here, -7'200, -3'600}},
                            Row{"whose time has not come", "not yet valid", {here, 3'600, 7'200}},
                            Row{"of another host", "localhost", {"DNS:elsewhere.example"}});
  INFO(row.what);
  const Scene scene;
  const Certificate certificate{row.wish, row.is_signed ? &scene.authority : nullptr};
  TlsServer server{certificate};
  const CallEnded ended =
      scene.call(server.url(), row.authority_is_known ? scene.ca_file() : std::string{});
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "tls");
  CHECK_THAT(ended.message, Contains("localhost:") && Contains(row.says));
  CHECK(server.all_that_came().empty());
}

TEST_CASE("TLS 1.0 and 1.1 are not spoken, even where the machine's OpenSSL would") {
  const int version = GENERATE(TLS1_VERSION, TLS1_1_VERSION);
  const Scene scene;
  const WeakOpenSsl weak{scene.directory};
  TlsServer server{Certificate{{here}, &scene.authority}, version};
  const CallEnded ended = scene.call(server.url(), scene.ca_file());
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "tls");
  CHECK_THAT(ended.message, Contains("version"));
  CHECK(server.all_that_came().empty());
}

TEST_CASE("a weak OpenSSL does speak TLS 1.2 with us") {
  const Scene scene;
  const WeakOpenSsl weak{scene.directory};
  TlsServer server{Certificate{{here}, &scene.authority}, TLS1_2_VERSION};
  CHECK(scene.call(server.url(), scene.ca_file()).end == CallEnd::answered);
}

TEST_CASE("a file of authorities that is none is refused with a sentence") {
  const Scene scene;
  CHECK(check_ca_file(""));
  CHECK(check_ca_file(scene.ca_file()));
  CHECK_THAT(check_ca_file("/nowhere/ca.pem").error().message,
             Contains("--ca-file") && Contains("/nowhere/ca.pem") && Contains("No such file"));
  const std::string empty = scene.directory / "empty";
  std::ofstream{empty} << "hello\n";
  CHECK_THAT(check_ca_file(empty).error().message, Contains("BEGIN CERTIFICATE"));
}

TEST_CASE("the user's .netrc sends no password anywhere") {
  const Scene scene;
  std::ofstream{scene.directory / ".netrc"} << "machine 127.0.0.1 login me password secret\n"
                                               "default login me password secret\n";
  const char* before = ::getenv("HOME");
  const std::string home = before != nullptr ? before : "/";
  ::setenv("HOME", scene.directory.c_str(), 1);
  SocketServer server{answer_all};
  Calls calls;
  CHECK(calls.run(calls.call(server.url())).end == CallEnd::answered);
  ::setenv("HOME", home.c_str(), 1);
  CHECK(server.requests().at(0).header("authorization").empty());
}

TEST_CASE("a key goes to the host that was called and not where that points to") {
  const Scene scene;
  const int status = GENERATE(301, 302, 303, 307, 308, 401);
  SocketServer elsewhere{answer_all};
  SocketServer server{[&](SocketServer::Connection& connection) {
    SocketServer::Request request;
    while (connection.read(request))
      connection.send("HTTP/1.1 " + std::to_string(status) +
                      " Go away\r\nLocation: " + elsewhere.url() +
                      "\r\nAlt-Svc: http/1.1=\"127.0.0.1:" + std::to_string(elsewhere.port()) +
                      "\"\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
  }};
  Calls calls;
  for (int i = 0; i < 2; ++i) {
    HttpCall call = calls.call(server.url());
    call.api_key_env = "GRISTMILL_TEST_KEY";
    CHECK(calls.run(std::move(call)).http_status == status);
  }
  CHECK(server.requests().size() == 2);
  CHECK(elsewhere.connections() == 0);
}

} // namespace curl_client_tls_test
