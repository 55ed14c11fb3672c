#include "coordinator/http/server/server_core.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http/server/server_io.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <iterator>
#include <new>

namespace gristmill::coordinator {
namespace {

// The exchange of a connection's request, from its first line to its end. Of a request that the
// library forgets (with more cookies than it has memory for) it tells no end.
using OfConnection = std::unique_ptr<SharedExchange>;

OfConnection* of(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<OfConnection*>(info->socket_context);
}

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
  if (head.headers.find("Transfer-Encoding") == nullptr)
    exchange->rest = head.content_length.value_or(0);
  exchange->task = task_for(*exchange, head, has_place);
  // A client that asks first, or would send too much for nothing, is told before the body. The
  // others are heard to the end: closing on unread bytes would reset the answer away.
  const bool asks = head.headers.get("Expect") == "100-continue";
  const bool much = exchange->rest.value_or(0) > options.discarded_bytes_max;
  exchange->may_wait = !asks && !much && has_place;
  return exchange->task->has_work() ? work(exchange) : admit(exchange);
}

MHD_Result HttpServer::Core::admit(const SharedExchange& exchange) {
  exchange->admitted = true;
  exchange->takes = exchange->task->wants_body();
  if (exchange->takes) return MHD_YES;
  connections.not_wanted(exchange->socket);
  return exchange->may_wait ? MHD_YES : finish(exchange);
}

MHD_Result HttpServer::Core::go_on(const SharedExchange& exchange, std::string_view piece) {
  if (exchange->rest) *exchange->rest -= std::min<std::uint64_t>(piece.size(), *exchange->rest);
  if (exchange->takes && !exchange->task->wants_body()) refuse(*exchange);
  if (!exchange->takes) return discard(*exchange, piece.size());
  connections.brought(exchange->socket, piece.size());
  if (!exchange->task->take(piece)) {
    refuse(*exchange);
    return MHD_YES;
  }
  return exchange->task->has_work() ? work(exchange) : MHD_YES;
}

// The rest of the body is wanted no more. Who would send much of it is told now; the others are
// heard to the end.
void HttpServer::Core::refuse(Exchange& exchange) {
  exchange.takes = false;
  connections.not_wanted(exchange.socket);
  if (!exchange.rest || *exchange.rest > options.discarded_bytes_max) tell(exchange);
}

void HttpServer::Core::tell(Exchange& exchange) {
  exchange.told = true;
  const auto why = std::make_shared<HttpResponse>();
  exchange.task->finish([why](HttpResponse response) { *why = std::move(response); });
  connections.tell(exchange.socket, *why);
}

MHD_Result HttpServer::Core::discard(Exchange& exchange, std::size_t bytes) {
  exchange.discarded_bytes += bytes;
  if (exchange.discarded_bytes <= options.discarded_bytes_max) return MHD_YES;
  if (!exchange.told) tell(exchange);
  return MHD_NO;
}

// Before the task may answer or be done, so that there is something to resume.
bool HttpServer::Core::suspend(const SharedExchange& exchange, Exchange::State state) {
  connections.waits_for_us(exchange->socket);
  const std::lock_guard lock{mutex};
  if (stopped) return false;
  exchange->state = state;
  exchange->answer_by =
      boot_now() + std::min(exchange->task->answer_within(), options.answer_within_max);
  waiting.insert(exchange);
  // When it goes on, the library reads first, and takes the end of what a client sends for the end
  // of the client; but whoever has a time of its own is asked for an answer before that.
  MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                            static_cast<unsigned>(options.idle_timeout.count() + 1));
  MHD_suspend_connection(exchange->connection);
  return true;
}

MHD_Result HttpServer::Core::work(const SharedExchange& exchange) {
  if (!suspend(exchange, Exchange::State::working)) return MHD_NO;
  const auto done = [core = weak_from_this(), exchange] {
    if (const auto alive = core.lock()) alive->worked(exchange);
  };
  try {
    exchange->task->work(done);
  } catch (const std::exception& e) {
    answer(exchange, http_error(500, "internal", e.what()));
  }
  return MHD_YES;
}

void HttpServer::Core::worked(const SharedExchange& exchange) {
  const std::lock_guard lock{mutex};
  if (exchange->state != Exchange::State::working) return;
  connections.goes_on(exchange->socket);
  resume_locked(exchange, Exchange::State::reading);
}

MHD_Result HttpServer::Core::finish(const SharedExchange& exchange) {
  if (exchange->told || !suspend(exchange, Exchange::State::waiting)) return MHD_NO;
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

// In the middle of a body, where the library takes none, it ends the connection, too.
void HttpServer::Core::answer_locked(SharedExchange exchange, HttpResponse response) {
  if (exchange->state == Exchange::State::working) {
    exchange->cut = true;
    connections.turn_away(exchange->socket, response);
    resume_locked(exchange, Exchange::State::reading);
  } else if (exchange->state == Exchange::State::waiting) {
    exchange->response = std::move(response);
    resume_locked(exchange, Exchange::State::answered);
  }
}

void HttpServer::Core::resume_locked(const SharedExchange& exchange, Exchange::State state) {
  exchange->state = state;
  waiting.erase(exchange);
  MHD_resume_connection(exchange->connection);
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

MHD_Result HttpServer::Core::on_peer(void* cls, const sockaddr* peer, socklen_t) {
  return static_cast<Core*>(cls)->connections.may_come(peer) ? MHD_YES : MHD_NO;
}

void HttpServer::Core::on_connection(void* cls, MHD_Connection* connection, void** context,
                                     MHD_ConnectionNotificationCode code) {
  Core& core = *static_cast<Core*>(cls);
  const int socket = socket_of(connection);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    *context = new (std::nothrow) OfConnection;
    core.connections.came(socket, peer_of(connection));
  } else {
    delete static_cast<OfConnection*>(*context);
    core.connections.left(socket);
  }
}

// The first line has come. For more arguments than it has memory for the library (0.9.75) gives all
// memory of the request back, and goes on reading it: so they are cut off before it reads them. It
// has not begun to, and the bytes are its own buffer's.
void* HttpServer::Core::on_target(void*, const char* target, MHD_Connection* connection) {
  OfConnection* const ours = of(connection);
  if (ours == nullptr) return nullptr;
  try {
    *ours = std::make_unique<SharedExchange>(std::make_shared<Exchange>(connection));
    const std::string_view text = target == nullptr ? "" : target;
    (**ours)->fault = fault_of(text);
    if (arguments_in(text) > arguments_max) const_cast<char*>(target)[text.find('?') + 1] = '\0';
    return ours->get();
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
    // For more cookies than it has memory for it forgets the request, and may ask us all the same.
    if (path == nullptr || method == nullptr) return MHD_NO;
    if (!exchange->opened) return core.begin(exchange, path, method);
    auto now = Exchange::State::reading;
    {
      const std::lock_guard lock{core.mutex};
      if (exchange->cut) return MHD_NO;
      now = exchange->state;
    }
    if (now == Exchange::State::answered) {
      const HttpResponse& answer = exchange->response;
      return send(connection, answer,
                  answer.stream ? core.streams->begin(connection, answer.stream)
                                : response_of(answer));
    }
    // The library goes on with the chunks that it has, suspended or not: it keeps them for later.
    if (now == Exchange::State::working) return MHD_YES;
    if (!exchange->admitted) return core.admit(exchange);
    if (*data_bytes == 0) return core.finish(exchange);
    const std::string_view piece{data, *data_bytes};
    *data_bytes = 0;
    return core.go_on(exchange, piece);
  } catch (const std::exception&) {
    return MHD_NO; // the library is C: it closes the connection
  }
}

void HttpServer::Core::on_completed(void* cls, MHD_Connection* connection, void** state,
                                    MHD_RequestTerminationCode) {
  if (*state == nullptr) return;
  Core& core = *static_cast<Core*>(cls);
  const OfConnection exchange = std::move(*of(connection));
  *state = nullptr;
  if (!(*exchange)->opened) return;
  run_guarded("HTTP server", [&] {
    core.connections.answered((*exchange)->socket);
    (*exchange)->task.reset();
    if ((*exchange)->response.stream) core.streams->ended((*exchange)->response.stream);
    const std::lock_guard lock{core.mutex};
    --core.open_exchanges;
    core.ended.notify_all();
  });
}

} // namespace gristmill::coordinator
