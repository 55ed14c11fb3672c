// Answers of the HTTP server that come piece by piece.
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http/server/server_core.hpp"

namespace gristmill::coordinator {
namespace {

// What the library takes out at once.
constexpr std::size_t event_bytes = 16 * 1024, file_bytes = 64 * 1024;

} // namespace

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
  const auto bytes = exchange->response.stream->bytes();
  return MHD_create_response_from_callback(
      bytes.value_or(MHD_SIZE_UNKNOWN), bytes ? file_bytes : event_bytes, read,
      new Source{weak_from_this(), exchange},
      [](void* source) { delete static_cast<Source*>(source); });
}

ssize_t HttpServer::Core::read_stream(const SharedExchange& exchange, char* to, std::size_t most) {
  BodySource& stream = *exchange->response.stream;
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

} // namespace gristmill::coordinator
