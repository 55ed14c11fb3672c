// Foreign pages of metrics. What is read of them is a number of calls, and a page that is cut says
// no more than its whole lines do.
#include "actors/worker/queue_metrics.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill::worker;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view page{reinterpret_cast<const char*>(data), size};
  const auto metrics = queue_metrics(page);
  if (metrics) {
    expect(metrics->waiting <= 1'000'000'000);
    expect(metrics->running >= -1 && metrics->running <= 1'000'000'000);
  }
  const std::size_t whole = page.rfind('\n');
  expect(queue_metrics(page.substr(0, whole == page.npos ? 0 : whole + 1)) == metrics);
  return 0;
}
