#include "worker/http/curl_reply.hpp"

#include "actors/kit/clock.hpp"
#include "protocol/limits.hpp"
#include "worker/http/unused_proxy.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <curl/curl.h>
#include <fmt/format.h>

namespace gristmill::worker {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool of_interest(std::string_view name) {
  constexpr std::array<std::string_view, 8> names{
      "content-type",   "content-encoding", "date",         "retry-after",
      "retry-after-ms", "x-should-retry",   "x-request-id", "request-id"};
  return std::find(names.begin(), names.end(), name) != names.end() ||
         name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
}

// Whether libcurl can undo it. Servers also name what is no encoding at all ("utf-8"), and what it
// does not know it refuses to read.
bool is_undone(std::string_view encodings) {
  constexpr std::array<std::string_view, 8> known{"gzip", "x-gzip", "deflate",  "zstd",
                                                  "br",   "none",   "identity", ""};
  const curl_version_info_data* curl = curl_version_info(CURLVERSION_NOW);
  while (!encodings.empty()) {
    std::string_view name = encodings.substr(0, encodings.find(','));
    encodings.remove_prefix(std::min(encodings.size(), name.size() + 1));
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    std::string small{name};
    std::transform(small.begin(), small.end(), small.begin(), lower);
    if (std::find(known.begin(), known.end(), small) == known.end()) return false;
    if (small == "zstd" && (curl->features & CURL_VERSION_ZSTD) == 0) return false;
    if (small == "br" && (curl->features & CURL_VERSION_BROTLI) == 0) return false;
  }
  return true;
}

std::string_view code_of(CURLcode result) {
  switch (result) {
  case CURLE_COULDNT_CONNECT: return "connect_refused";
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY: return "resolve";
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_ENGINE_NOTFOUND:
  case CURLE_SSL_ENGINE_SETFAILED:
  case CURLE_SSL_ENGINE_INITFAILED:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_USE_SSL_FAILED:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_SHUTDOWN_FAILED:
  case CURLE_SSL_CRL_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_CLIENTCERT: return "tls";
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR: return "connection_lost";
  case CURLE_PARTIAL_FILE: return "reply_cut";
  case CURLE_BAD_CONTENT_ENCODING: return "bad_encoding";
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM: return "http2";
  default: return "other";
  }
}

std::string proxy_note(const CurlCall& call) {
  const std::string note =
      call.gate == Gate::passed ? std::string{} : unused_proxy(call.request.url);
  return note.empty() ? note : fmt::format(" {}.", note);
}

} // namespace

std::size_t on_reply_head(char* data, std::size_t size, std::size_t count, void* to) noexcept {
  CurlCall& call = *static_cast<CurlCall*>(to);
  std::string_view line{data, size * count};
  call.header_bytes += line.size();
  if (call.header_bytes > limits::reply_header_bytes_max) {
    call.reply_too_big = true;
    return 0;
  }
  // An interim answer (1xx) is followed by the head of the real one.
  if (line.starts_with("HTTP/")) {
    call.reply.headers.clear();
    call.head_complete = false;
  }
  if (line == "\r\n" || line == "\n") call.head_complete = true;
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name{line.substr(0, colon)};
  std::transform(name.begin(), name.end(), name.begin(), lower);
  if (!of_interest(name)) return size * count;
  line.remove_prefix(colon + 1);
  const auto first = line.find_first_not_of(" \t");
  const auto last = line.find_last_not_of(" \t\r\n");
  line = last == std::string_view::npos ? std::string_view{} : line.substr(first, last - first + 1);
  if (name == "content-encoding") {
    if (is_undone(line)) return size * count;
    curl_easy_setopt(static_cast<CURL*>(call.easy->handle()), CURLOPT_HTTP_CONTENT_DECODING, 0L);
  }
  call.reply.headers.emplace_back(std::move(name), line);
  return size * count;
}

std::size_t on_reply_body(char* data, std::size_t size, std::size_t count, void* to) noexcept {
  CurlCall& call = *static_cast<CurlCall*>(to);
  if (call.reply.body.size() + size * count > call.body_bytes_max) {
    call.reply_too_big = true;
    return 0;
  }
  call.reply.body.append(data, size * count);
  return size * count;
}

void CurlCall::end_as(CallEnd end, std::string code, std::string message) {
  reply.attempt = request.attempt;
  reply.end = end;
  reply.http_status = 0;
  reply.body = {};
  reply.code = std::move(code);
  reply.message = std::move(message);
}

void end_by_result(CurlCall& call, int result, std::string_view text) {
  const auto code = static_cast<CURLcode>(result);
  const std::string where{host_and_port(call.request.url)};
  call.reply.latency_us = static_cast<std::uint64_t>((boot_now() - call.since).count() / 1'000);
  // libcurl takes an answer that ends inside its head for a whole one.
  if (code == CURLE_OK && !call.head_complete)
    return call.end_as(CallEnd::failed, call.header_bytes > 0 ? "reply_cut" : "connection_lost",
                       fmt::format("{} closed the connection in the head of its answer.", where));
  if (code == CURLE_OK) {
    call.reply.attempt = call.request.attempt;
    call.reply.end = CallEnd::answered;
    return;
  }
  if (call.reply_too_big)
    return call.end_as(CallEnd::failed, "reply_too_big",
                       fmt::format("{} sent an answer of more than {} bytes, or a head of more "
                                   "than {}; the rest was not read.",
                                   where, call.body_bytes_max, limits::reply_header_bytes_max));
  if (call.gate == Gate::again)
    return call.end_as(CallEnd::failed, "connection_lost",
                       fmt::format("{} closed the connection after the request was sent and "
                                   "before an answer came; it was not sent again.",
                                   where));
  if (call.gate == Gate::late)
    return call.end_as(
        CallEnd::too_late, "permit_ended",
        fmt::format("The permit ended before {} was connected; nothing was sent.", where));
  // libcurl holds a header line of more than 100 KB for a lack of memory.
  if (code == CURLE_OUT_OF_MEMORY && call.gate == Gate::passed && !call.head_complete)
    return call.end_as(CallEnd::failed, "reply_too_big",
                       fmt::format("{} sent a header line of more than 100 KB; the rest of the "
                                   "answer was not read.",
                                   where));
  if (!call.refused_address.empty() && call.gate == Gate::ahead)
    return call.end_as(CallEnd::failed, "address_refused",
                       fmt::format("{} leads to {}, a link-local address, as clouds have for the "
                                   "credentials of a machine; no call is made there: correct the "
                                   "endpoint's URL.",
                                   where, call.refused_address));
  if (call.socket_errno != 0)
    return call.end_as(CallEnd::failed, "other",
                       fmt::format("No socket for a connection to {}: {}.", where,
                                   std::strerror(call.socket_errno)));
  if (code == CURLE_OPERATION_TIMEDOUT)
    return call.end_as(
        CallEnd::timed_out, call.gate == Gate::passed ? "timeout" : "connect_timeout",
        fmt::format("Calling {} took too long: {}.{}", where, text, proxy_note(call)));
  const std::string_view name = code_of(code);
  const bool cut = name == "connection_lost" && call.header_bytes > 0;
  call.end_as(CallEnd::failed, std::string{cut ? "reply_cut" : name},
              fmt::format("Calling {} failed: {}.{}", where, text, proxy_note(call)));
}

} // namespace gristmill::worker
