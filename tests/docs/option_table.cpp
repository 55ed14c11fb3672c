// Prints the table of a job's options as JSON: what --help does not show of them, for
// options_page.py.
#include "protocol/job/named.hpp"
#include "protocol/job/options.hpp"
#include "protocol/job/usd.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace {

using namespace gristmill;

// The values that a person may write; "" where any will do.
std::string values_of(const JobOption& option) {
  if (option.help.empty()) return {}; // people write something else, or nothing
  const bool unbounded = option.most == std::numeric_limits<std::uint64_t>::max();
  const auto range = [&](double unit, std::string_view sign) {
    return fmt::format("{}{} to {}{}", static_cast<double>(option.least) / unit, sign,
                       static_cast<double>(option.most) / unit, sign);
  };
  switch (option.form) {
  case OptionForm::failures: return "N, P% or off";
  case OptionForm::percent:
    if (!unbounded) return range(1, "%");
    break;
  case OptionForm::seconds: return range(1e3, "");
  case OptionForm::separator: return "one character, or tab";
  case OptionForm::labels:
  case OptionForm::fields:
  case OptionForm::conditions:
  case OptionForm::plain:
  case OptionForm::natural:
  case OptionForm::words: break;
  }
  std::string values;
  with_member(option, JobSpec{}, [&]<class T>(const T&) {
    if constexpr (NamedEnum<T>)
      values = list_of_names<T>();
    else if constexpr (std::is_same_v<T, Usd>)
      values = "above 0, at most 1000000";
    else if constexpr (std::is_same_v<T, Percentage>)
      values = "above 0%, up to 100%, with four decimals at most";
    else if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
      values = unbounded ? "" : range(1, "");
  });
  return values;
}

} // namespace

int main() {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const JobOption& option : job_options())
    rows.push_back({{"member", option.name},
                    {"flag", option.long_flag()},
                    {"values", values_of(option)},
                    {"identifies", option.identity != Identity::free}});
  std::printf("%s\n", rows.dump(1).c_str());
}
