#include "coordinator/inputs/open_inputs.hpp"

#include <algorithm>
#include <sys/resource.h>

namespace gristmill::coordinator {

std::shared_ptr<OpenInputs> OpenInputs::of_process() {
  constexpr std::size_t least = 8, most = 256, part = 16; // a compressed one has two descriptors
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_NOFILE, &limit) == 0;
  return std::make_shared<OpenInputs>(
      known ? std::clamp<std::size_t>(limit.rlim_cur / part, least, most) : least);
}

void OpenInputs::hold(const std::shared_ptr<OpenInput>& input) {
  Held gone; // is closed when nothing is locked any more
  const std::lock_guard lock{mutex_};
  if (const auto it = std::find(held_.begin(), held_.end(), input); it != held_.end())
    return held_.splice(held_.begin(), held_, it);
  if (held_.size() >= most_) gone = take_one();
  held_.push_front(input);
}

void OpenInputs::let_go(const std::shared_ptr<OpenInput>& input) {
  Held gone;
  const std::lock_guard lock{mutex_};
  if (const auto it = std::find(held_.begin(), held_.end(), input); it != held_.end())
    gone.splice(gone.begin(), held_, it);
}

bool OpenInputs::let_go_one() {
  Held gone;
  const std::lock_guard lock{mutex_};
  gone = take_one();
  return !gone.empty();
}

// To unpack a file from its beginning again costs more than to open one.
OpenInputs::Held OpenInputs::take_one() {
  Held one;
  const auto plain = std::find_if(held_.rbegin(), held_.rend(),
                                  [](const auto& input) { return !input->unpacked; });
  if (plain != held_.rend())
    one.splice(one.begin(), held_, std::next(plain).base());
  else if (!held_.empty())
    one.splice(one.begin(), held_, std::prev(held_.end()));
  return one;
}

} // namespace gristmill::coordinator
