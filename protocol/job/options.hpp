// JOB OPTIONS: what the user of a job may say, one row for each member. The row drives the command
// line and the TOML file (cli/job_options.cpp), the JSON of API, journal and wire (spec.cpp), the
// check (rules/job_faults.cpp) and what makes two jobs the same. Invariant: each member of JobSpec
// that has a name in JSON has one row.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/job/usd.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <variant>

namespace gristmill {

using OptionMember =
    std::variant<std::string*, bool*, std::uint32_t*, std::uint64_t*, std::vector<std::string>*,
                 ModelNames*, Usd*, Percentage*, Task*, ResultOrder*, InputForm*,
                 std::vector<InputSpec>*, std::vector<EndpointSpec>*>;

// Whether a job with another value is another job.
enum class Identity : std::uint8_t {
  free,
  fixed,
  fixed_once_said, // … but one that has not said anything may say it later
};

// How a person writes it, where that is not how programs do.
enum class OptionForm : std::uint8_t {
  plain,
  natural,    // a whole number, whatever it is
  seconds,    // of a member in ms
  percent,    // with or without the sign
  failures,   // N, P% or off
  words,      // a template, with some text
  labels,     // A,B,C
  fields,     // F,G; each once
  conditions, // each by itself, whatever is in it
  separator,  // one character, or tab
};

struct JobOption {
  std::string_view name; // in JSON
  OptionMember (*member)(JobSpec&);
  std::string_view flag = {}; // as errors call it, and the command line where `help` says something
  std::string_view help = {};
  Identity identity = Identity::free;
  OptionForm form = OptionForm::plain;
  std::uint64_t least = 0, most = std::numeric_limits<std::uint64_t>::max(); // of a number
  bool submit_only = false;                                                  // on the command line
  bool for_workers = false; // they need it to make its calls

  // The first long form, without what errors add; of what has none, all of it.
  std::string_view long_flag() const {
    const std::size_t begin = flag.find("--");
    const std::string_view rest = flag.substr(begin == flag.npos ? 0 : begin);
    return rest.substr(0, rest.find_first_of(" ,"));
  }
};

std::span<const JobOption> job_options();

// Calls `use` with the member, by a reference that is not to be written through.
template <class Use> void with_member(const JobOption& option, const JobSpec& spec, Use use) {
  std::visit([&](const auto* member) { use(*member); },
             option.member(const_cast<JobSpec&>(spec))); // one accessor for readers and writers
}

} // namespace gristmill
