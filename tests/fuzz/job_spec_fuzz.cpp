// Foreign job specifications. What is read can be examined and survives its text form; what is
// without fault differs from itself in nothing.
#include "protocol/job/spec.hpp"
#include "protocol/rules/job_faults.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto spec = job_spec_from_json({reinterpret_cast<const char*>(data), size});
  if (!spec) {
    if (spec.error().message.empty()) std::abort();
    return 0;
  }
  for (const std::string& fault : faults_of(*spec))
    if (fault.empty()) std::abort();
  const auto again = job_spec_from_json(to_json(*spec));
  if (!again || *again != *spec || !identity_difference(*spec, *again).empty()) std::abort();
  return 0;
}
