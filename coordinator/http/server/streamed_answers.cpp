#include "coordinator/http/server/streamed_answers.hpp"

#include "actors/kit/guarded_thread.hpp"

namespace gristmill::coordinator {
namespace {

// What the library takes out at once.
constexpr std::size_t event_bytes = 16 * 1024, file_bytes = 64 * 1024;

} // namespace

MHD_Response* StreamedAnswers::begin(MHD_Connection* connection, const Stream& stream) {
  {
    const std::lock_guard lock{mutex_};
    if (finishing_) stream->finish();
    open_.insert(stream);
  }
  struct Source {
    std::weak_ptr<StreamedAnswers> answers;
    MHD_Connection* connection;
    Stream stream;
  };
  const auto read_source = [](void* source, std::uint64_t, char* to, std::size_t most) -> ssize_t {
    const auto& from = *static_cast<Source*>(source);
    const auto answers = from.answers.lock();
    return run_guarded("HTTP server", [&]() -> ssize_t {
      return answers ? answers->read(from.connection, from.stream, to, most)
                     : MHD_CONTENT_READER_END_OF_STREAM;
    });
  };
  const auto bytes = stream->bytes();
  return MHD_create_response_from_callback(
      bytes.value_or(MHD_SIZE_UNKNOWN), bytes ? file_bytes : event_bytes, read_source,
      new Source{weak_from_this(), connection, stream},
      [](void* source) { delete static_cast<Source*>(source); });
}

ssize_t StreamedAnswers::read(MHD_Connection* connection, const Stream& stream, char* to,
                              std::size_t most) {
  const auto bytes = stream->read(to, most);
  if (!bytes) return MHD_CONTENT_READER_END_OF_STREAM;
  if (*bytes > 0) return static_cast<ssize_t>(*bytes);
  {
    // Suspended before the stream may wake it, so that there is something to resume.
    const std::lock_guard lock{mutex_};
    if (stopped_) return MHD_CONTENT_READER_END_OF_STREAM;
    asleep_.emplace(stream, connection);
    MHD_suspend_connection(connection);
  }
  stream->when_ready([answers = weak_from_this(), stream] {
    if (const auto alive = answers.lock()) alive->wake(stream);
  });
  return 0;
}

void StreamedAnswers::wake(const Stream& stream) {
  const std::lock_guard lock{mutex_};
  if (const auto sleeper = asleep_.extract(stream)) MHD_resume_connection(sleeper.mapped());
}

void StreamedAnswers::ended(const Stream& stream) {
  stream->abandon();
  const std::lock_guard lock{mutex_};
  open_.erase(stream);
}

// Not under the mutex: a stream that ends wakes its connection.
void StreamedAnswers::finish_all() {
  std::set<Stream> all;
  {
    const std::lock_guard lock{mutex_};
    finishing_ = true;
    all = open_;
  }
  for (const Stream& stream : all) stream->finish();
}

void StreamedAnswers::stop() {
  const std::lock_guard lock{mutex_};
  stopped_ = true;
  for (const auto& [stream, connection] : asleep_) MHD_resume_connection(connection);
  asleep_.clear();
}

} // namespace gristmill::coordinator
