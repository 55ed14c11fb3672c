#include "coordinator/result/line_finder.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace gristmill::coordinator {
namespace {

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

// The last such line of a segment.
LineSearch last_line_in(journal::JobLines& lines, std::size_t segment, const Beginning& beginning,
                        std::size_t piece_bytes, std::string& piece) {
  std::optional<FoundLine> found;
  const std::uint64_t bytes = lines.segments()[segment].bytes;
  std::size_t kept = 0; // of the piece, a line that did not end in it
  for (std::uint64_t read = 0; read < bytes;) {
    const auto more = std::min<std::uint64_t>(std::max(piece_bytes, kept), bytes - read);
    piece.resize(std::max<std::size_t>(piece.size(), kept + more));
    GRISTMILL_TRY(lines.read(segment, read, {piece.data() + kept, more}));
    const std::string_view text{piece.data(), kept + more};
    const std::uint64_t begin = read - kept; // of the text in the segment
    read += more;
    std::size_t from = 0, end = text.find('\n', kept);
    for (; end != text.npos; from = end + 1, end = text.find('\n', from))
      if (const auto line = text.substr(from, end - from); beginning.is_of(line))
        found = FoundLine{std::string{line}, lines.place_of(segment), begin + from};
    kept = text.size() - from;
    std::memmove(piece.data(), text.data() + from, kept);
  }
  return found;
}

} // namespace

LineSearch find_line(journal::JobLines& lines, const LineWanted& wanted, std::size_t piece_bytes) {
  const Beginning beginning{wanted};
  std::string piece; // begins with a line; shared by all segments
  for (std::size_t segment = lines.segments().size(); segment-- > 0;) {
    auto found = last_line_in(lines, segment, beginning, piece_bytes, piece);
    if (!found || *found) return found;
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

bool LineFinder::find(std::shared_ptr<journal::JobLines> lines, LineWanted wanted,
                      std::function<void(LineSearch)> then) {
  {
    const std::lock_guard lock{mutex_};
    if (searches_.size() >= waiting_max) return false;
    searches_.push_back([lines = std::move(lines), wanted = std::move(wanted),
                         then = std::move(then)] { then(find_line(*lines, wanted)); });
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
