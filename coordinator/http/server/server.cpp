#include "coordinator/http/server/server.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http/server/listener.hpp"
#include "coordinator/http/server/server_core.hpp"

#include <fcntl.h>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

// The library's buffer of one connection: the head must fit it, and pieces of a body are cut to it.
constexpr std::size_t connection_memory_bytes = 64 * 1024;

// So many more connections than have a place: those that must go are closed a moment later.
constexpr std::size_t connections_leaving = 64;

} // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpServerOptions options) {
  auto listener = listen_for_http(options.listen);
  GRISTMILL_TRY(listener);
  auto core = std::make_shared<Core>(std::move(options));
  core->address = std::move(listener->address);
  const int socket = ::fcntl(listener->socket.get(), F_DUPFD_CLOEXEC, 0);
  const auto& places = core->options.places;
  core->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, &Core::on_peer, core.get(),
      &Core::on_request, core.get(), MHD_OPTION_NOTIFY_COMPLETED, &Core::on_completed, core.get(),
      MHD_OPTION_NOTIFY_CONNECTION, &Core::on_connection, core.get(), MHD_OPTION_URI_LOG_CALLBACK,
      &Core::on_target, core.get(), MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
      static_cast<unsigned>(places.connections_max + places.reserved + connections_leaving),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(core->options.idle_timeout.count()), MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_END);
  if (core->daemon == nullptr) {
    ::close(socket);
    return fail(ErrorCode::internal,
                fmt::format("the HTTP server did not start on {}", core->address));
  }
  core->watch = guarded_thread("HTTP watch", [c = core.get()] { c->look_until_stopped(); });
  return std::unique_ptr<HttpServer>{new HttpServer{std::move(core)}};
}

HttpServer::~HttpServer() {
  stop();
}

std::string HttpServer::url() const {
  return "http://" + core_->address;
}

void HttpServer::drain(std::chrono::milliseconds at_most) {
  std::unique_lock lock{core_->mutex};
  core_->draining = true;
  lock.unlock();
  core_->streams->finish_all();
  lock.lock();
  core_->ended.wait_for(lock, at_most, [this] { return core_->open_exchanges == 0; });
}

void HttpServer::stop() {
  {
    const std::lock_guard lock{core_->mutex};
    if (core_->stopped) return;
    core_->draining = core_->stopped = true;
    // The library aborts the process if it is stopped while a connection is suspended.
    while (!core_->waiting.empty())
      core_->answer_locked(*core_->waiting.begin(),
                           http_error(503, "unavailable", "the coordinator is stopping"));
  }
  core_->streams->stop();
  core_->stopping.notify_all();
  core_->watch.join();
  core_->streams->finish_all();
  MHD_stop_daemon(core_->daemon);
}

} // namespace gristmill::coordinator
