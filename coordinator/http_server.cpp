#include "coordinator/http_server.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http_listener.hpp"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <mutex>
#include <set>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

// The library's buffer of one connection: the head must fit it, and pieces of a body are cut to it.
constexpr std::size_t connection_memory_bytes = 64 * 1024;

constexpr std::size_t stream_piece_bytes = 16 * 1024;

// A request from its head to the last byte of its answer.
struct Exchange {
  explicit Exchange(MHD_Connection* c) : connection{c} {}

  MHD_Connection* connection;
  std::unique_ptr<HttpTask> task;
  bool takes = true; // the task still wants the body
  std::uint64_t discarded_bytes = 0;

  // Under the core's mutex.
  enum class State : std::uint8_t { reading, waiting, answered };
  State state = State::reading;
  HttpResponse response;
};
using SharedExchange = std::shared_ptr<Exchange>;

MHD_Result collect(void* into, MHD_ValueKind, const char* key, std::size_t key_bytes,
                   const char* value, std::size_t value_bytes) {
  auto& query = *static_cast<decltype(HttpRequest::query)*>(into);
  query[{key, key_bytes}] = value == nullptr ? std::string{} : std::string{value, value_bytes};
  return MHD_YES;
}

std::string header(MHD_Connection* connection, const char* name) {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string{} : std::string{value};
}

HttpRequest head_of(MHD_Connection* connection, const char* path, std::string_view method) {
  HttpRequest head;
  head.method = method == "HEAD" ? "GET" : method;
  head.path = path;
  head.authorization = header(connection, "Authorization");
  const std::string length = header(connection, "Content-Length");
  std::uint64_t bytes = 0;
  if (std::from_chars(length.data(), length.data() + length.size(), bytes).ec == std::errc{})
    head.content_length = bytes;
  MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, collect, &head.query);
  return head;
}

std::size_t head_bytes(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info == nullptr ? 0 : info->header_size;
}

MHD_Response* response_of(const HttpResponse& answer) {
  if (!answer.file)
    return MHD_create_response_from_buffer(
        answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
  struct stat info {};
  // The library closes what it is given, so it gets a descriptor of its own.
  const int file = ::fcntl(answer.file.get(), F_DUPFD_CLOEXEC, 0);
  if (file < 0) return nullptr;
  MHD_Response* response = nullptr;
  if (::fstat(file, &info) == 0)
    response = MHD_create_response_from_fd64(static_cast<std::uint64_t>(info.st_size), file);
  if (response == nullptr) ::close(file);
  return response;
}

MHD_Result send(MHD_Connection* connection, const HttpResponse& answer, MHD_Response* response) {
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, "Content-Type", answer.content_type.c_str());
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.headers)
    MHD_add_response_header(response, name.c_str(), value.c_str());
  const auto queued =
      MHD_queue_response(connection, static_cast<unsigned>(answer.status), response);
  MHD_destroy_response(response);
  return queued;
}

} // namespace

struct HttpServer::Core : std::enable_shared_from_this<Core> {
  HttpServerOptions options;
  std::string address;
  MHD_Daemon* daemon = nullptr;

  std::mutex mutex;
  std::condition_variable ended;
  std::size_t open_exchanges = 0;
  bool draining = false, stopped = false;
  std::set<SharedExchange> waiting; // suspended: the library must get each of them back
  std::set<SharedExchange> asleep;  // … those whose streams have nothing to send
  std::set<SharedExchange> streaming;

  MHD_Result begin(MHD_Connection* connection, const char* path, const char* method, void** state);
  MHD_Result go_on(const SharedExchange& exchange, std::string_view piece);
  MHD_Result finish(const SharedExchange& exchange);
  std::unique_ptr<HttpTask> task_for(MHD_Connection* connection, const HttpRequest& head);
  void answer(const SharedExchange& exchange, HttpResponse response);
  void answer_locked(SharedExchange exchange, HttpResponse response);
  MHD_Response* stream_of(const SharedExchange& exchange);
  ssize_t read_stream(const SharedExchange& exchange, char* to, std::size_t most);
  void finish_streams();

  static MHD_Result on_request(void* core, MHD_Connection* connection, const char* path,
                               const char* method, const char* version, const char* data,
                               std::size_t* data_bytes, void** state);
  static void on_completed(void* core, MHD_Connection* connection, void** state,
                           MHD_RequestTerminationCode code);
};

std::unique_ptr<HttpTask> HttpServer::Core::task_for(MHD_Connection* connection,
                                                     const HttpRequest& head) {
  {
    const std::lock_guard lock{mutex};
    if (draining)
      return answered(
          http_error(503, "unavailable", "the coordinator is stopping: try again soon"));
  }
  if (head_bytes(connection) > options.head_bytes_max)
    return answered(http_error(431, "too_large",
                               fmt::format("expected a head of at most {} bytes, got {}",
                                           options.head_bytes_max, head_bytes(connection))));
  return options.open_task(head);
}

MHD_Result HttpServer::Core::begin(MHD_Connection* connection, const char* path, const char* method,
                                   void** state) {
  auto exchange = std::make_shared<Exchange>(connection);
  *state = new SharedExchange{exchange};
  {
    const std::lock_guard lock{mutex};
    ++open_exchanges;
  }
  const HttpRequest head = head_of(connection, path, method);
  exchange->task = task_for(connection, head);
  exchange->takes = exchange->task->wants_body();
  // A client that asks first, or would send too much for nothing, is told before the body. The
  // others are heard to the end: closing on unread bytes would reset the answer away.
  const bool asks = header(connection, "Expect") == "100-continue";
  const bool much = head.content_length.value_or(0) > options.discarded_bytes_max;
  if (!exchange->takes && (asks || much)) return finish(exchange);
  return MHD_YES;
}

MHD_Result HttpServer::Core::go_on(const SharedExchange& exchange, std::string_view piece) {
  if (exchange->takes) {
    exchange->takes = exchange->task->take(piece);
    return MHD_YES;
  }
  exchange->discarded_bytes += piece.size();
  return exchange->discarded_bytes <= options.discarded_bytes_max ? MHD_YES : MHD_NO;
}

MHD_Result HttpServer::Core::finish(const SharedExchange& exchange) {
  {
    const std::lock_guard lock{mutex};
    if (stopped) return MHD_NO;
    // Suspended before the task may answer, so that there is something to resume.
    exchange->state = Exchange::State::waiting;
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

// Not under the mutex: a stream that ends wakes its connection.
void HttpServer::Core::finish_streams() {
  std::set<SharedExchange> all;
  {
    const std::lock_guard lock{mutex};
    all = streaming;
  }
  for (const SharedExchange& exchange : all) exchange->response.stream->finish();
}

MHD_Result HttpServer::Core::on_request(void* cls, MHD_Connection* connection, const char* path,
                                        const char* method, const char*, const char* data,
                                        std::size_t* data_bytes, void** state) {
  Core& core = *static_cast<Core*>(cls);
  try {
    if (*state == nullptr) return core.begin(connection, path, method, state);
    const SharedExchange exchange = *static_cast<SharedExchange*>(*state);
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
  run_guarded("HTTP server", [&] {
    (*exchange)->task.reset();
    if ((*exchange)->response.stream) (*exchange)->response.stream->abandon();
    const std::lock_guard lock{core.mutex};
    core.streaming.erase(*exchange);
    --core.open_exchanges;
    core.ended.notify_all();
  });
}

Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpServerOptions options) {
  auto listener = listen_for_http(options.listen);
  if (!listener) return tl::unexpected{listener.error()};
  auto core = std::make_shared<Core>();
  core->options = std::move(options);
  core->address = std::move(listener->address);
  const int socket = ::fcntl(listener->socket.get(), F_DUPFD_CLOEXEC, 0);
  core->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr,
      &Core::on_request, core.get(), MHD_OPTION_NOTIFY_COMPLETED, &Core::on_completed, core.get(),
      MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT, core->options.connections_max,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(core->options.idle_timeout.count()), MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_END);
  if (core->daemon == nullptr) {
    ::close(socket);
    return fail(ErrorCode::internal,
                fmt::format("the HTTP server did not start on {}", core->address));
  }
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
  core_->finish_streams();
  MHD_stop_daemon(core_->daemon);
}

} // namespace gristmill::coordinator
