#include "coordinator/result/line_finder.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "coordinator/disk/file_io.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <string_view>
#include <sys/mman.h>
#include <utility>

namespace gristmill::coordinator {
namespace {

// A file's beginning in memory, of which the kernel keeps what it has room for.
class Mapped {
public:
  Mapped(const FileDescriptor& file, std::size_t bytes)
      : bytes_{bytes}, begin_{::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0)} {
    if (*this) ::madvise(begin_, bytes_, MADV_SEQUENTIAL);
  }
  ~Mapped() {
    if (*this) ::munmap(begin_, bytes_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  explicit operator bool() const { return begin_ != MAP_FAILED; }
  std::string_view text() const { return {static_cast<const char*>(begin_), bytes_}; }

private:
  std::size_t bytes_;
  void* begin_;
};

// Whether a line is the item's is seen at its beginning: {"id":"batch_req_JOB_ITEM","custom_id":ID,
class Beginning {
public:
  explicit Beginning(const LineWanted& wanted) {
    text_ = fmt::format("{{\"id\":\"batch_req_{}_", wanted.job.value);
    if (wanted.custom_id.empty()) {
      text_ += fmt::format("{}\"", wanted.item);
      return;
    }
    id_ = "\",\"custom_id\":";
    json::append_string(id_, wanted.custom_id);
    id_ += ',';
  }
  bool is_of(std::string_view line) const {
    if (!line.starts_with(text_)) return false;
    if (id_.empty()) return true;
    line.remove_prefix(text_.size());
    line.remove_prefix(std::min(line.find_first_not_of("0123456789"), line.size()));
    return line.starts_with(id_);
  }

private:
  std::string text_, id_;
};

} // namespace

LineSearch find_line(const std::vector<journal::Segment>& segments, const LineWanted& wanted) {
  const Beginning beginning{wanted};
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->bytes == 0) continue;
    const auto file = open_file(segment->path, O_RDONLY);
    if (!file) return tl::unexpected{file.error()};
    const Mapped mapped{*file, segment->bytes};
    if (!mapped) return tl::unexpected{disk_error("map", segment->path)};
    std::optional<FoundLine> found;
    const std::string_view text = mapped.text();
    for (std::size_t from = 0; from < text.size();) {
      const std::size_t end = std::min(text.find('\n', from), text.size());
      const std::string_view line = text.substr(from, end - from);
      if (beginning.is_of(line)) found = FoundLine{std::string{line}, segment->path, from};
      from = end + 1;
    }
    if (found) return found;
  }
  return std::nullopt;
}

LineFinder::LineFinder() : thread_{guarded_thread("line finder", [this] { run(); })} {}

LineFinder::~LineFinder() {
  {
    const std::lock_guard lock{mutex_};
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool LineFinder::find(std::vector<journal::Segment> segments, LineWanted wanted,
                      std::function<void(LineSearch)> then) {
  {
    const std::lock_guard lock{mutex_};
    if (searches_.size() >= waiting_max) return false;
    searches_.push_back([segments = std::move(segments), wanted = std::move(wanted),
                         then = std::move(then)] { then(find_line(segments, wanted)); });
  }
  changed_.notify_one();
  return true;
}

void LineFinder::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ends_ || !searches_.empty(); });
    if (ends_) return;
    const auto search = std::move(searches_.front());
    searches_.pop_front();
    lock.unlock();
    search();
    lock.lock();
  }
}

} // namespace gristmill::coordinator
