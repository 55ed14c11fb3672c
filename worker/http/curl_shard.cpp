#include "worker/http/curl_shard.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/clock.hpp"

#include <curl/curl.h>

namespace gristmill::worker {

namespace {

void check(CURLMcode code) {
  GRISTMILL_CHECK(code == CURLM_OK, "libcurl: {}", curl_multi_strerror(code));
}

int on_want_socket(CURL*, curl_socket_t fd, int what, void* to, void*) noexcept {
  static_cast<CurlShard*>(to)->want_socket(fd, what == CURL_POLL_IN || what == CURL_POLL_INOUT,
                                           what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
  return 0;
}

int on_want_timer(CURLM*, long after_ms, void* to) noexcept {
  static_cast<CurlShard*>(to)->want_timer(after_ms);
  return 0;
}

} // namespace

CurlShare::CurlShare() {
  // Once per process, and for its whole life: other users of libcurl do not know of this one.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  GRISTMILL_CHECK(ready == CURLE_OK, "libcurl does not start: {}", curl_easy_strerror(ready));
  handle_ = curl_share_init();
  GRISTMILL_CHECK(handle_ != nullptr, "libcurl gives no share: out of memory");
  curl_share_setopt(handle_, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
  curl_share_setopt(handle_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

CurlShare::~CurlShare() {
  curl_share_cleanup(handle_);
}

CurlShard::CurlShard(std::uint32_t index, SocketWatch& watch)
    : index_{index}, watch_{watch}, multi_{curl_multi_init()} {
  GRISTMILL_CHECK(multi_ != nullptr, "libcurl gives no multi handle: out of memory");
  check(curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, on_want_socket));
  check(curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this));
  check(curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, on_want_timer));
  check(curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this));
  // Left to itself the cache follows the calls in flight and drops warm connections.
  check(curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS,
                          static_cast<long>(ConnectionBook::shard_calls_max)));
}

CurlShard::~CurlShard() {
  curl_multi_cleanup(multi_);
}

void CurlShard::add(CurlCall& call) {
  check(curl_multi_add_handle(multi_, call.easy->handle()));
}

void CurlShard::remove(CurlCall& call) {
  check(curl_multi_remove_handle(multi_, call.easy->handle()));
}

void CurlShard::on_timer() {
  timer_at_ = never;
  int running = 0;
  check(curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running));
  if (timer_at_ != never || running == 0) return;
  // libcurl does not repeat a time that it has already named.
  long after_ms = -1;
  check(curl_multi_timeout(multi_, &after_ms));
  want_timer(after_ms);
}

void CurlShard::on_socket(const SocketWatch::Event& event) {
  const int what = (event.read ? CURL_CSELECT_IN : 0) | (event.write ? CURL_CSELECT_OUT : 0) |
                   (event.hung_up && !event.read ? CURL_CSELECT_ERR : 0);
  int running = 0;
  check(curl_multi_socket_action(multi_, event.fd, what, &running));
}

void CurlShard::take_finished(std::vector<Finished>& finished) {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CurlCall* call = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
    finished.push_back({call, static_cast<int>(message->data.result)});
  }
}

void CurlShard::want_timer(long after_ms) {
  if (after_ms < 0)
    timer_at_ = never;
  else
    timer_at_ = after_ms == 0 ? Time::min() : boot_now() + std::chrono::milliseconds{after_ms};
}

} // namespace gristmill::worker
