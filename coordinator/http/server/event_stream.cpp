#include "coordinator/http/server/event_stream.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::coordinator {

void EventStream::push(std::string_view text) {
  std::unique_lock lock{mutex_};
  if (over_) return;
  if (text.size() > bytes_max_ - text_.size()) {
    over_ = true;
  } else {
    text_ += text;
  }
  wake(std::move(lock));
}

void EventStream::finish() {
  std::unique_lock lock{mutex_};
  over_ = true;
  wake(std::move(lock));
}

bool EventStream::is_over() const {
  const std::lock_guard lock{mutex_};
  return over_;
}

std::size_t EventStream::room() const {
  const std::lock_guard lock{mutex_};
  return over_ ? 0 : bytes_max_ - text_.size();
}

std::optional<std::size_t> EventStream::read(char* to, std::size_t most) {
  const std::lock_guard lock{mutex_};
  if (text_.empty() && over_) return std::nullopt;
  const std::size_t bytes = std::min(most, text_.size());
  std::copy_n(text_.data(), bytes, to);
  text_.erase(0, bytes);
  return bytes;
}

void EventStream::when_ready(std::function<void()> ready) {
  std::unique_lock lock{mutex_};
  ready_ = std::move(ready);
  if (over_ || !text_.empty()) wake(std::move(lock));
}

void EventStream::abandon() {
  const std::lock_guard lock{mutex_};
  over_ = true;
  text_.clear();
  ready_ = nullptr;
}

// Called without the lock: whoever is woken has locks of its own.
void EventStream::wake(std::unique_lock<std::mutex> lock) {
  const auto ready = std::exchange(ready_, nullptr);
  lock.unlock();
  if (ready) ready();
}

} // namespace gristmill::coordinator
