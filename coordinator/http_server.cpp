#include "coordinator/http_server.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http_connections.hpp"
#include "coordinator/http_listener.hpp"
#include "coordinator/http_server_io.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <set>
#include <thread>

namespace gristmill::coordinator {
namespace {

// The library's buffer of one connection: the head must fit it, and pieces of a body are cut to it.
constexpr std::size_t connection_memory_bytes = 64 * 1024;

constexpr std::size_t stream_piece_bytes = 16 * 1024;

// So many more connections than have a place: those that must go are closed a moment later.
constexpr std::size_t connections_leaving = 64;

// A request from its first line to the last byte of its answer.
struct Exchange {
  explicit Exchange(MHD_Connection* c) : connection{c}, socket{socket_of(c)} {}

  MHD_Connection* connection;
  int socket;
  std::string fault;   // of its first line
  bool opened = false; // its head was whole
  std::unique_ptr<HttpTask> task;
  bool takes = true; // the task still wants the body
  std::uint64_t discarded_bytes = 0;

  // Under the core's mutex.
  enum class State : std::uint8_t { reading, waiting, answered };
  State state = State::reading;
  Time answer_by{}; // while waiting
  HttpResponse response;
};
using SharedExchange = std::shared_ptr<Exchange>;

} // namespace

struct HttpServer::Core : std::enable_shared_from_this<Core> {
  HttpServerOptions options;
  std::string address;
  MHD_Daemon* daemon = nullptr;
  HttpConnections connections;
  std::thread watch; // that looks at connections now and then

  explicit Core(HttpServerOptions o) : options{std::move(o)}, connections{options.places} {}

  std::mutex mutex;
  std::condition_variable ended, stopping;
  std::size_t open_exchanges = 0;
  bool draining = false, stopped = false;
  std::set<SharedExchange> waiting; // suspended: the library must get each of them back
  std::set<SharedExchange> asleep;  // … those whose streams have nothing to send
  std::set<SharedExchange> streaming;

  MHD_Result begin(const SharedExchange& exchange, const char* path, const char* method);
  MHD_Result go_on(const SharedExchange& exchange, std::string_view piece);
  MHD_Result finish(const SharedExchange& exchange);
  std::unique_ptr<HttpTask> task_for(const Exchange& exchange, const HttpRequest& head,
                                     bool has_place);
  void answer(const SharedExchange& exchange, HttpResponse response);
  void answer_locked(SharedExchange exchange, HttpResponse response);
  MHD_Response* stream_of(const SharedExchange& exchange);
  ssize_t read_stream(const SharedExchange& exchange, char* to, std::size_t most);
  void finish_streams();
  void look_until_stopped();
  void give_up_late_ones(Time now);

  static MHD_Result on_peer(void* core, const sockaddr* peer, socklen_t bytes);
  static void on_connection(void* core, MHD_Connection* connection, void** state,
                            MHD_ConnectionNotificationCode code);
  static void* on_target(void* core, const char* target, MHD_Connection* connection);
  static MHD_Result on_request(void* core, MHD_Connection* connection, const char* path,
                               const char* method, const char* version, const char* data,
                               std::size_t* data_bytes, void** state);
  static void on_completed(void* core, MHD_Connection* connection, void** state,
                           MHD_RequestTerminationCode code);
};

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
    return core ? core->read_stream(from.exchange, to, most) : MHD_CONTENT_READER_END_OF_STREAM;
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
  core.connections.answered((*exchange)->socket);
  (*exchange)->task.reset();
  if ((*exchange)->response.stream) (*exchange)->response.stream->abandon();
  const std::lock_guard lock{core.mutex};
  core.streaming.erase(*exchange);
  --core.open_exchanges;
  core.ended.notify_all();
}

Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpServerOptions options) {
  auto listener = listen_for_http(options.listen);
  if (!listener) return tl::unexpected{listener.error()};
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
  core->watch = std::thread{[c = core.get()] { c->look_until_stopped(); }};
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
  core_->finish_streams();
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
  core_->stopping.notify_all();
  core_->watch.join();
  core_->finish_streams();
  MHD_stop_daemon(core_->daemon);
}

} // namespace gristmill::coordinator
