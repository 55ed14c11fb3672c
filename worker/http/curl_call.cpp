#include "worker/http/curl_call.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/clock.hpp"
#include "worker/http/curl_reply.hpp"
#include "worker/http/refused_address.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <curl/curl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace gristmill::worker {

struct CurlEasy::State {
  CURL* handle = nullptr;
  const CurlClientOptions& options;
  CurlConnections& connections;
  // Header lines, and the list that shows them to libcurl.
  std::array<std::string, 6> lines{"Content-Type: application/json",
                                   "Accept: application/json",
                                   "Expect:",
                                   "Accept-Encoding:",
                                   "",
                                   ""};
  std::array<curl_slist, 7> list{};
  std::string accept_text{"Accept: text/plain"};
  std::array<curl_slist, 2> page_list{
      {{accept_text.data(), &page_list[1]}, {lines[3].data(), nullptr}}};
  std::array<char, CURL_ERROR_SIZE> error{};
};

namespace {

template <class Value> void set(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  GRISTMILL_CHECK(code == CURLE_OK, "libcurl refuses option {}: {}", static_cast<int>(option),
                  curl_easy_strerror(code));
}

// Callbacks of libcurl. Nothing may be thrown through its frames, hence noexcept.

// The gate: what it lets through is sent by libcurl before anything else happens.
int on_ready_to_send(void* to, char* address, char*, int, int) noexcept {
  CurlCall& call = *static_cast<CurlCall*>(to);
  // A connection that calls had opened is there for pages, too.
  if (call.in_our_network && !is_of_our_network(address)) {
    call.refused_address = address;
    return CURL_PREREQFUNC_ABORT;
  }
  CurlConnections& connections = call.easy->connections();
  connections.book.connected(call.seat);
  if (call.gate != Gate::ahead) {
    call.gate = Gate::again;
    return CURL_PREREQFUNC_ABORT;
  }
  const Time now = boot_now();
  if (now >= call.request.not_after) {
    call.gate = Gate::late;
    return CURL_PREREQFUNC_ABORT;
  }
  call.gate = Gate::passed;
  call.since = now;
  return CURL_PREREQFUNC_OK;
}

curl_socket_t on_open_socket(void* to, curlsocktype, curl_sockaddr* address) noexcept {
  CurlCall& call = *static_cast<CurlCall*>(to);
  // A second connection for a call that was sent could only serve to send it again.
  if (call.gate != Gate::ahead) {
    call.gate = Gate::again;
    return CURL_SOCKET_BAD;
  }
  if (std::string refused = refused_address(address->addr); !refused.empty()) {
    call.refused_address = std::move(refused);
    return CURL_SOCKET_BAD;
  }
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) {
    call.socket_errno = errno;
    return CURL_SOCKET_BAD;
  }
  CurlConnections& connections = call.easy->connections();
  connections.watch.connection_opened(fd);
  connections.book.socket_opened(call.seat, fd);
  return fd;
}

int on_close_socket(void* to, curl_socket_t fd) noexcept {
  CurlConnections& connections = *static_cast<CurlConnections*>(to);
  connections.watch.connection_closed(fd);
  connections.book.socket_closed(fd);
  return ::close(fd);
}

bool is_tls(std::string_view url) {
  constexpr std::string_view scheme = "https:";
  return url.size() > scheme.size() &&
         std::equal(scheme.begin(), scheme.end(), url.begin(), [](char want, char have) {
           return want == (have >= 'A' && have <= 'Z' ? have - 'A' + 'a' : have);
         });
}

// What a key or a prompt could be lost by, and what one answer may cost.
void set_safety(CURL* easy, const CurlClientOptions& options) {
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_MAXREDIRS, 0L);
  // An empty string, unlike an absent one, also keeps the proxy of the environment out.
  set(easy, CURLOPT_PROXY, options.proxy.c_str());
  set(easy, CURLOPT_NOPROXY, "");
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_file.empty()) set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  set(easy, CURLOPT_HSTS_CTRL, 0L);
  // Nobody asks for a compressed answer (set_request leaves the header out), but some send one. The
  // bound of an answer is on what comes out.
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
}

void set_transport(CURL* easy, CurlConnections& connections) {
  set(easy, CURLOPT_NOSIGNAL, 1L);
  // Without it a lookup that hangs holds up this thread, and with it every call, when its call
  // times out or is aborted.
  set(easy, CURLOPT_QUICK_EXIT, 1L);
  set(easy, CURLOPT_DNS_CACHE_TIMEOUT, 60L);
  set(easy, CURLOPT_TCP_NODELAY, 1L);
  // An answer may take minutes, and middle boxes forget silent connections.
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  set(easy, CURLOPT_TCP_KEEPINTVL, 30L);
  set(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  set(easy, CURLOPT_CLOSESOCKETDATA, &connections);
}

void set_callbacks(CURL* easy, CurlCall& call) {
  set(easy, CURLOPT_PRIVATE, &call);
  set(easy, CURLOPT_HEADERFUNCTION, on_reply_head);
  set(easy, CURLOPT_HEADERDATA, &call);
  set(easy, CURLOPT_WRITEFUNCTION, on_reply_body);
  set(easy, CURLOPT_WRITEDATA, &call);
  set(easy, CURLOPT_PREREQFUNCTION, on_ready_to_send);
  set(easy, CURLOPT_PREREQDATA, &call);
  set(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(easy, CURLOPT_OPENSOCKETDATA, &call);
}

// For libcurl 0 is no timeout, and a page may have less than a millisecond left.
long timeout_ms(Duration timeout) {
  return static_cast<long>(std::max<std::int64_t>(1, to_ms(timeout)));
}

void set_request(CURL* easy, const CurlCall& call) {
  const HttpCall& request = call.request;
  set(easy, CURLOPT_URL, request.url.c_str());
  // HTTP/2 on clear text loses every second request on a reused connection in this libcurl.
  set(easy, CURLOPT_HTTP_VERSION,
      static_cast<long>(is_tls(request.url) ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_USERAGENT, "gristmill/0.1");
  if (!call.page) {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(easy, CURLOPT_POSTFIELDS,
        request.body.c_str()); // not copied; the call outlives the transfer
  }
  set(easy, CURLOPT_TIMEOUT_MS, timeout_ms(request.timeout));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms(request.connect_timeout));
}

} // namespace

CurlEasy::CurlEasy(void* share, const CurlClientOptions& options, CurlConnections& connections)
    : state_{new State{curl_easy_init(), options, connections}} {
  GRISTMILL_CHECK(state_->handle != nullptr, "libcurl gives no handle: out of memory");
  set(state_->handle, CURLOPT_SHARE, static_cast<CURLSH*>(share)); // survives curl_easy_reset
}

CurlEasy::~CurlEasy() {
  curl_easy_cleanup(state_->handle);
}

void* CurlEasy::handle() const {
  return state_->handle;
}
CurlConnections& CurlEasy::connections() const {
  return state_->connections;
}

void CurlEasy::prepare(CurlCall& call) {
  State& s = *state_;
  const std::string attempt = to_string(call.request.attempt);
  s.lines[4].assign("X-Request-Id: ").append(attempt);
  s.lines[5].assign("Idempotency-Key: ").append(attempt);
  for (std::size_t i = 0; i < s.lines.size(); ++i) s.list[i] = {s.lines[i].data(), &s.list[i + 1]};
  // libcurl only reads the list.
  if (call.authorization != nullptr)
    s.list[6] = {const_cast<char*>(call.authorization->c_str()), nullptr};
  else
    s.list[5].next = nullptr;
  s.error[0] = '\0';

  curl_easy_reset(s.handle);
  set_safety(s.handle, s.options);
  set_transport(s.handle, s.connections);
  set_callbacks(s.handle, call);
  set_request(s.handle, call);
  set(s.handle, CURLOPT_HTTPHEADER, call.page ? s.page_list.data() : s.list.data());
  set(s.handle, CURLOPT_ERRORBUFFER, s.error.data());
}

void CurlEasy::read_result(CurlCall& call, int result) {
  const auto code = static_cast<CURLcode>(result);
  if (code == CURLE_OK) {
    long status = 0, version = 0;
    curl_easy_getinfo(state_->handle, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(state_->handle, CURLINFO_HTTP_VERSION, &version);
    call.reply.http_status = static_cast<std::uint16_t>(status);
    if (version == CURL_HTTP_VERSION_2_0) state_->connections.book.multiplexes(call.seat.host);
  }
  const bool explained = state_->error[0] != '\0';
  end_by_result(call, result, explained ? state_->error.data() : curl_easy_strerror(code));
}

} // namespace gristmill::worker
