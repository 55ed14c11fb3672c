// TLS SERVER: an HTTPS server with a certificate of the test's choice, good or not, and the
// authority that signs them. Invariant: what was read after a handshake is counted to the byte, so
// that a test can say that nothing came.
#pragma once

#include "tests/unit/worker/http/socket_server.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <optional>
#include <string>

namespace gristmill::test {

template <auto release> struct Releaser {
  template <class T> void operator()(T* pointer) const { release(pointer); }
};
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using X509Pointer = std::unique_ptr<X509, Releaser<X509_free>>;

// A certificate and its key. Without a signer it signs itself.
class Certificate {
public:
  struct Wish {
    std::string names; // as subjectAltName: "DNS:localhost,IP:127.0.0.1"; empty = an authority
    long begins_s = -3'600, ends_s = 3'600; // from now
  };

  explicit Certificate(const Wish& wish, const Certificate* signer = nullptr)
      : key_{EVP_EC_gen("P-256")}, x509_{X509_new()} {
    X509_set_version(x509(), X509_VERSION_3);
    static std::atomic<long> serials{1};
    ASN1_INTEGER_set(X509_get_serialNumber(x509()), serials++);
    X509_gmtime_adj(X509_getm_notBefore(x509()), wish.begins_s);
    X509_gmtime_adj(X509_getm_notAfter(x509()), wish.ends_s);
    const std::string name = wish.names.empty() ? "authority" : "server";
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x509(),
                         X509_get_subject_name(signer != nullptr ? signer->x509() : x509()));
    X509_set_pubkey(x509(), key());
    if (wish.names.empty())
      extend(NID_basic_constraints, "critical,CA:TRUE");
    else
      extend(NID_subject_alt_name, wish.names);
    X509_sign(x509(), signer != nullptr ? signer->key() : key(), EVP_sha256());
  }

  X509* x509() const { return x509_.get(); }
  EVP_PKEY* key() const { return key_.get(); }

  void write(const std::string& path) const {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) throw std::runtime_error{"cannot write " + path};
    PEM_write_X509(file, x509());
    std::fclose(file);
  }

private:
  void extend(int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509(), x509(), nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
    if (extension == nullptr) throw std::runtime_error{"no such extension: " + value};
    X509_add_ext(x509(), extension, -1);
    X509_EXTENSION_free(extension);
  }

  Key key_;
  X509Pointer x509_;
};

class TlsServer {
public:
  // version_max: TLS1_VERSION is what no client should speak any more; 0 = the newest.
  explicit TlsServer(const Certificate& certificate, int version_max = 0)
      : context_{SSL_CTX_new(TLS_server_method())} {
    SSL_CTX_use_certificate(context_.get(), certificate.x509());
    SSL_CTX_use_PrivateKey(context_.get(), certificate.key());
    if (version_max != 0) {
      SSL_CTX_set_security_level(context_.get(), 0);
      SSL_CTX_set_cipher_list(context_.get(), "ALL:@SECLEVEL=0");
      SSL_CTX_set_min_proto_version(context_.get(), version_max);
      SSL_CTX_set_max_proto_version(context_.get(), version_max);
    }
    std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL; the programs do the same
    server_.emplace([this](SocketServer::Connection& connection) { serve(connection.fd()); });
  }

  std::string url(const std::string& host = "localhost") const {
    return "https://" + host + ":" + std::to_string(server_->port()) + "/v1/chat/completions";
  }

  // Ends the server, and says what it read: after this nothing more can come.
  std::string all_that_came() {
    server_.reset();
    return read_;
  }

private:
  // One connection at a time is enough here.
  void serve(int fd) {
    const std::unique_ptr<SSL, Releaser<SSL_free>> tls{SSL_new(context_.get())};
    SSL_set_fd(tls.get(), fd);
    if (SSL_accept(tls.get()) == 1) {
      char buffer[16 * 1024];
      for (int got; (got = SSL_read(tls.get(), buffer, sizeof buffer)) > 0;) {
        const std::lock_guard lock{mutex_};
        read_.append(buffer, static_cast<std::size_t>(got));
        if (!read_.ends_with('}')) continue; // every request's body does
        constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
      }
    }
    ERR_clear_error();
  }

  std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>> context_;
  std::mutex mutex_;
  std::string read_;
  std::optional<SocketServer> server_;
};

} // namespace gristmill::test
