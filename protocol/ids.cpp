#include "protocol/ids.hpp"

#include <charconv>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>

namespace gristmill {

void AttemptId::does_not_fit(Epoch epoch, std::uint64_t block, std::uint64_t n) {
  throw std::out_of_range{fmt::format("expected an attempt's epoch up to {}, block up to {} and "
                                      "number up to {}, got {}, {} and {}",
                                      epoch_max, block_max, n_max, epoch.value, block, n)};
}

std::string to_string(AttemptId id) {
  return fmt::format("{}-{}-{}", id.epoch(), id.block(), id.n());
}

std::string to_string(JobId id) {
  return fmt::format("job-{}", id.value);
}

std::string to_string(SessionId id) {
  return fmt::format("{}-{}", id.value >> 32, id.value & 0xffff'ffff);
}

bool parse(const std::string& text, JobId& id) {
  std::string_view digits{text};
  if (digits.starts_with("job-")) digits.remove_prefix(4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id.value);
  return error == std::errc{} && end == digits.data() + digits.size() && id.value != 0;
}

} // namespace gristmill
