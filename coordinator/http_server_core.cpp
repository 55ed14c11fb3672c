#include "coordinator/http_server_core.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http_server_io.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <iterator>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t stream_piece_bytes = 16 * 1024;

} // namespace

Exchange::Exchange(MHD_Connection* c) : connection{c}, socket{socket_of(c)} {}

std::unique_ptr<HttpTask> HttpServer::Core::task_for(const Exchange& exchange,
                                                     const HttpRequest& head, bool has_place) {
  if (!exchange.fault.empty()) return answered(http_error(400, "usage", exchange.fault));
  {
    const std::lock_guard lock{mutex};
    if (draining)
      return answered(
          http_error(503, "unavailable", "the coordinator is stopping: try again soon"));
  }
  if (!has_place) {
    auto full = http_error(503, "unavailable",
                           fmt::format("expected at most {} requests at a time, got one more: try "
                                       "again soon",
                                       options.places.connections_max));
    full.headers.emplace_back("Connection", "close");
    return answered(std::move(full));
  }
  const std::size_t bytes = head_bytes(exchange.connection);
  if (bytes > options.head_bytes_max)
    return answered(http_error(
        431, "too_large",
        fmt::format("expected a head of at most {} bytes, got {}", options.head_bytes_max, bytes)));
  return options.open_task(head);
}

MHD_Result HttpServer::Core::begin(const SharedExchange& exchange, const char* path,
                                   const char* method) {
  exchange->opened = true;
  {
    const std::lock_guard lock{mutex};
    ++open_exchanges;
  }
  const HttpRequest head = head_of(exchange->connection, path, method);
  const bool always = !has_body(head) && options.is_always_answered(head);
  const bool has_place = connections.has_head(exchange->socket, always);
  exchange->task = task_for(*exchange, head, has_place);
  exchange->takes = exchange->task->wants_body();
  if (exchange->takes) return MHD_YES;
  connections.not_wanted(exchange->socket);
  // A client that asks first, or would send too much for nothing, is told before the body. The
  // others are heard to the end: closing on unread bytes would reset the answer away.
  const bool asks = head.headers.get("Expect") == "100-continue";
  const bool much = head.content_length.value_or(0) > options.discarded_bytes_max;
  return asks || much || !has_place ? finish(exchange) : MHD_YES;
}

MHD_Result HttpServer::Core::go_on(const SharedExchange& exchange, std::string_view piece) {
  if (exchange->takes) {
    connections.brought(exchange->socket, piece.size());
    exchange->takes = exchange->task->take(piece);
    if (!exchange->takes) connections.not_wanted(exchange->socket);
    return MHD_YES;
  }
  exchange->discarded_bytes += piece.size();
  return exchange->discarded_bytes <= options.discarded_bytes_max ? MHD_YES : MHD_NO;
}

MHD_Result HttpServer::Core::finish(const SharedExchange& exchange) {
  connections.body_ended(exchange->socket);
  {
    const std::lock_guard lock{mutex};
    if (stopped) return MHD_NO;
    // Suspended before the task may answer, so that there is something to resume.
    exchange->state = Exchange::State::waiting;
    exchange->answer_by =
        boot_now() + std::min(exchange->task->answer_within(), options.answer_within_max);
    waiting.insert(exchange);
    MHD_suspend_connection(exchange->connection);
  }
  const auto respond = [core = weak_from_this(), exchange](HttpResponse response) {
    if (const auto alive = core.lock()) alive->answer(exchange, std::move(response));
  };
  try {
    exchange->task->finish(respond);
  } catch (const std::exception& e) {
    answer(exchange, http_error(500, "internal", e.what()));
  }
  return MHD_YES;
}

void HttpServer::Core::answer(const SharedExchange& exchange, HttpResponse response) {
  const std::lock_guard lock{mutex};
  answer_locked(exchange, std::move(response));
}

void HttpServer::Core::answer_locked(SharedExchange exchange, HttpResponse response) {
  if (exchange->state != Exchange::State::waiting) return;
  exchange->response = std::move(response);
  exchange->state = Exchange::State::answered;
  waiting.erase(exchange);
  MHD_resume_connection(exchange->connection);
}

MHD_Response* HttpServer::Core::stream_of(const SharedExchange& exchange) {
  {
    const std::lock_guard lock{mutex};
    if (draining) exchange->response.stream->finish();
    streaming.insert(exchange);
  }
  struct Source {
    std::weak_ptr<Core> core;
    SharedExchange exchange;
  };
  const auto read = [](void* source, std::uint64_t, char* to, std::size_t most) -> ssize_t {
    const auto& from = *static_cast<Source*>(source);
    const auto core = from.core.lock();
    return run_guarded("HTTP server", [&]() -> ssize_t {
      return core ? core->read_stream(from.exchange, to, most) : MHD_CONTENT_READER_END_OF_STREAM;
    });
  };
  return MHD_create_response_from_callback(
      MHD_SIZE_UNKNOWN, stream_piece_bytes, read, new Source{weak_from_this(), exchange},
      [](void* source) { delete static_cast<Source*>(source); });
}

ssize_t HttpServer::Core::read_stream(const SharedExchange& exchange, char* to, std::size_t most) {
  EventStream& stream = *exchange->response.stream;
  const auto bytes = stream.read(to, most);
  if (!bytes) return MHD_CONTENT_READER_END_OF_STREAM;
  if (*bytes > 0) return static_cast<ssize_t>(*bytes);
  {
    // Suspended before the stream may wake it, so that there is something to resume.
    const std::lock_guard lock{mutex};
    if (stopped) return MHD_CONTENT_READER_END_OF_STREAM;
    asleep.insert(exchange);
    MHD_suspend_connection(exchange->connection);
  }
  stream.when_ready([core = weak_from_this(), exchange] {
    const auto alive = core.lock();
    if (!alive) return;
    const std::lock_guard lock{alive->mutex};
    if (alive->asleep.erase(exchange) == 1) MHD_resume_connection(exchange->connection);
  });
  return 0;
}

// A question that nobody answers gives its place back all the same.
void HttpServer::Core::give_up_late_ones(Time now) {
  const std::lock_guard lock{mutex};
  std::vector<SharedExchange> late;
  std::copy_if(waiting.begin(), waiting.end(), std::back_inserter(late),
               [&](const SharedExchange& exchange) { return exchange->answer_by <= now; });
  for (const SharedExchange& exchange : late)
    answer_locked(exchange,
                  http_error(504, "unavailable",
                             "no answer came in time; whether what was asked for is done is not "
                             "known: look before you ask again"));
}

void HttpServer::Core::look_until_stopped() {
  std::unique_lock lock{mutex};
  while (!stopping.wait_for(lock, options.look_every, [this] { return stopped; })) {
    lock.unlock();
    connections.look();
    give_up_late_ones(boot_now());
    lock.lock();
  }
}

// Not under the mutex: a stream that ends wakes its connection.
void HttpServer::Core::finish_streams() {
  std::set<SharedExchange> all;
  {
    const std::lock_guard lock{mutex};
    all = streaming;
  }
  for (const SharedExchange& exchange : all) exchange->response.stream->finish();
}

MHD_Result HttpServer::Core::on_peer(void* cls, const sockaddr* peer, socklen_t) {
  return static_cast<Core*>(cls)->connections.may_come(peer) ? MHD_YES : MHD_NO;
}

void HttpServer::Core::on_connection(void* cls, MHD_Connection* connection, void**,
                                     MHD_ConnectionNotificationCode code) {
  Core& core = *static_cast<Core*>(cls);
  const int socket = socket_of(connection);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    core.connections.came(socket, peer_of(connection));
  } else {
    core.connections.left(socket);
  }
}

// The first line has come. The library would stumble over too many arguments and answer nothing, so
// that is done here.
void* HttpServer::Core::on_target(void* cls, const char* target, MHD_Connection* connection) {
  Core& core = *static_cast<Core*>(cls);
  try {
    auto exchange = std::make_unique<SharedExchange>(std::make_shared<Exchange>(connection));
    const std::string_view text = target == nullptr ? "" : target;
    std::string& fault = (*exchange)->fault;
    fault = fault_of(text);
    if (arguments_in(text) > arguments_max)
      core.connections.turn_away((*exchange)->socket, 400, "usage", fault);
    return exchange.release();
  } catch (const std::exception&) {
    return nullptr;
  }
}

MHD_Result HttpServer::Core::on_request(void* cls, MHD_Connection* connection, const char* path,
                                        const char* method, const char*, const char* data,
                                        std::size_t* data_bytes, void** state) {
  Core& core = *static_cast<Core*>(cls);
  if (*state == nullptr) return MHD_NO; // there was no memory for it
  try {
    const SharedExchange exchange = *static_cast<SharedExchange*>(*state);
    if (!exchange->opened) return core.begin(exchange, path, method);
    bool is_answered = false;
    {
      const std::lock_guard lock{core.mutex};
      is_answered = exchange->state == Exchange::State::answered;
    }
    if (is_answered)
      return send(connection, exchange->response,
                  exchange->response.stream ? core.stream_of(exchange)
                                            : response_of(exchange->response));
    if (*data_bytes == 0) return core.finish(exchange);
    const std::string_view piece{data, *data_bytes};
    *data_bytes = 0;
    return core.go_on(exchange, piece);
  } catch (const std::exception&) {
    return MHD_NO; // the library is C: it closes the connection
  }
}

void HttpServer::Core::on_completed(void* cls, MHD_Connection*, void** state,
                                    MHD_RequestTerminationCode) {
  if (*state == nullptr) return;
  Core& core = *static_cast<Core*>(cls);
  const std::unique_ptr<SharedExchange> exchange{static_cast<SharedExchange*>(*state)};
  *state = nullptr;
  if (!(*exchange)->opened) return;
  run_guarded("HTTP server", [&] {
    core.connections.answered((*exchange)->socket);
    (*exchange)->task.reset();
    if ((*exchange)->response.stream) (*exchange)->response.stream->abandon();
    const std::lock_guard lock{core.mutex};
    core.streaming.erase(*exchange);
    --core.open_exchanges;
    core.ended.notify_all();
  });
}

} // namespace gristmill::coordinator
