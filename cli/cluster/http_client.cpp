#include "cli/cluster/http_client.hpp"

#include "worker/http/unused_proxy.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

constexpr long connect_timeout_s = 10;
constexpr long silence_timeout_s = 60;              // without a byte in either direction
constexpr std::size_t answer_bytes_max = 64u << 20; // of one that is not downloaded

struct Transfer {
  const HttpCall& call;
  CURL* easy;
  HttpAnswer answer;
  std::optional<Error> unread; // why the upload could not be read
};

std::size_t take(char* data, std::size_t, std::size_t bytes, void* transfer) {
  auto& [call, easy, answer, unread] = *static_cast<Transfer*>(transfer);
  const std::string_view piece{data, bytes};
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (call.download && status == 200) return call.download(piece) ? bytes : 0;
  if (answer.body.size() + bytes > answer_bytes_max) return 0;
  answer.body += piece;
  return bytes;
}

std::size_t give(char* into, std::size_t, std::size_t bytes, void* transfer) {
  auto& mine = *static_cast<Transfer*>(transfer);
  const auto got = mine.call.upload({into, bytes});
  if (got) return *got;
  mine.unread = got.error();
  return CURL_READFUNC_ABORT;
}

} // namespace

struct HttpClient::Handle {
  CURL* easy = curl_easy_init();
  curl_slist *headers = nullptr, *upload_headers = nullptr;
  ~Handle() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    curl_slist_free_all(upload_headers);
  }
  template <class Value> void set(CURLoption option, Value value) {
    curl_easy_setopt(easy, option, value);
  }
};

HttpClient::HttpClient(std::string server, const std::string& token, ServerWords words,
                       std::string ca_file)
    : server_{std::move(server)}, words_{std::move(words)}, ca_file_{std::move(ca_file)},
      handle_{std::make_unique<Handle>()} {
  while (server_.ends_with('/')) server_.pop_back();
  const auto headers = [&](const char* content_type) {
    curl_slist* list = curl_slist_append(nullptr, content_type);
    return token.empty() ? list
                         : curl_slist_append(list, ("Authorization: Bearer " + token).c_str());
  };
  handle_->headers = headers("Content-Type: application/json");
  handle_->upload_headers = headers("Content-Type: application/octet-stream");
}

HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::call(const HttpCall& call) {
  Handle& h = *handle_;
  Transfer transfer{call, h.easy, {}, {}};
  curl_easy_reset(h.easy); // keeps the connection
  const std::string url = server_ + call.path;
  h.set(CURLOPT_URL, url.c_str());
  h.set(CURLOPT_HTTPHEADER, call.upload ? h.upload_headers : h.headers);
  // Nothing in the environment may lead the token elsewhere.
  h.set(CURLOPT_PROTOCOLS_STR, "http,https");
  h.set(CURLOPT_FOLLOWLOCATION, 0L);
  h.set(CURLOPT_PROXY, "");
  h.set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  h.set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (!ca_file_.empty()) h.set(CURLOPT_CAINFO, ca_file_.c_str());
  h.set(CURLOPT_NOSIGNAL, 1L);
  h.set(CURLOPT_CONNECTTIMEOUT, connect_timeout_s);
  h.set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  h.set(CURLOPT_LOW_SPEED_TIME, silence_timeout_s);
  h.set(CURLOPT_WRITEFUNCTION, take);
  h.set(CURLOPT_WRITEDATA, &transfer);
  if (call.upload) {
    h.set(CURLOPT_UPLOAD, 1L);
    h.set(CURLOPT_CUSTOMREQUEST, call.method.c_str());
    h.set(CURLOPT_READFUNCTION, give);
    h.set(CURLOPT_READDATA, &transfer);
    h.set(CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    if (call.upload_bytes)
      h.set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(*call.upload_bytes));
  } else if (call.method == "POST") {
    h.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    h.set(CURLOPT_POSTFIELDS, call.body.data());
  } else if (call.method != "GET") {
    h.set(CURLOPT_CUSTOMREQUEST, call.method.c_str());
  }
  const CURLcode code = curl_easy_perform(h.easy);
  if (code == CURLE_WRITE_ERROR)
    return fail(ErrorCode::io, fmt::format("the answer of {} could not be kept", url));
  if (transfer.unread) return tl::unexpected{*transfer.unread};
  if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
    return fail(ErrorCode::usage,
                fmt::format("{}: expected http://HOST:PORT, got {}", words_.option, server_));
  if (code != CURLE_OK) {
    const std::string note = worker::unused_proxy(server_);
    return fail(ErrorCode::unavailable,
                fmt::format("no {} answers at {} ({}): start it, or correct {}{}{}", words_.noun,
                            server_, curl_easy_strerror(code), words_.option,
                            note.empty() ? "" : "; ", note));
  }
  curl_easy_getinfo(h.easy, CURLINFO_RESPONSE_CODE, &transfer.answer.status);
  curl_header* header = nullptr;
  if (!call.header.empty() &&
      curl_easy_header(h.easy, call.header.c_str(), 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
    transfer.answer.header = header->value;
  return std::move(transfer.answer);
}

std::string url_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

} // namespace gristmill::cli
