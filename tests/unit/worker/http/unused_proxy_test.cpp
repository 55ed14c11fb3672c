#include "worker/http/unused_proxy.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <string>

namespace unused_proxy_test {

using gristmill::worker::unused_proxy;

namespace {

// The variables as the test wants them, and then as they were.
class Proxies {
public:
  explicit Proxies(const std::map<std::string, std::string>& wanted) {
    for (const char* name :
         {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
    }
    for (const auto& [name, value] : wanted) ::setenv(name.c_str(), value.c_str(), 1);
    set_ = wanted;
  }
  ~Proxies() {
    for (const auto& [name, value] : set_) ::unsetenv(name.c_str());
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }

private:
  std::map<std::string, std::string> before_, set_;
};

} // namespace

TEST_CASE("a proxy that is not used is named where it would have been") {
  const char* url = "https://api.example.com/v1";
  {
    const Proxies none{{}};
    CHECK(unused_proxy(url).empty());
  }
  const auto name = GENERATE(as<std::string>{}, "HTTPS_PROXY", "https_proxy", "ALL_PROXY");
  const Proxies one{{{name, "http://proxy:3128"}}};
  CHECK_THAT(unused_proxy(url), Catch::StartsWith(name + " is set, but no proxy is used"));
  CHECK_THAT(unused_proxy(url), !Catch::Contains("3128")); // it may hold a password
  CHECK(unused_proxy("http://127.0.0.1:8000/v1").empty());
  CHECK(unused_proxy("http://10.1.2.3/v1").empty());
  CHECK(unused_proxy("http://api.example.com/v1").empty() == (name != "ALL_PROXY"));
}

} // namespace unused_proxy_test
