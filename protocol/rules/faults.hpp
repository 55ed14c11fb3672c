// FAULTS: sentences of the form "OPTION: expected …, got …", collected while a specification is
// looked at. Invariant: what came is shown without anything that a terminal would obey, and there
// are at most limits::job_faults_max sentences, whatever somebody sends.
#pragma once

#include "protocol/limits.hpp"

#include <cstddef>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill {

class Faults {
public:
  template <class Got>
  void add(std::string_view option, std::string_view expected, const Got& got) {
    if (found_.size() < limits::job_faults_max)
      found_.push_back(fmt::format("{}: expected {}, got {}", option, expected, got));
  }
  void add_sentence(std::string_view option, std::string_view sentence) {
    if (found_.size() < limits::job_faults_max)
      found_.push_back(fmt::format("{}: {}", option, sentence));
  }
  void add_quoted(std::string_view option, std::string_view expected, std::string_view got);
  // How many of a list there may be; false: too many, so that nobody looks at each.
  bool at_most(std::string_view option, std::size_t most, std::string_view what, std::size_t got);
  // Every text travels as JSON, so it must be UTF-8.
  void text(std::string_view option, std::string_view got, std::size_t bytes_max);
  void name(std::string_view option, std::string_view got);
  // A template.
  void prompt(std::string_view option, std::string_view got);

  std::vector<std::string> take() && { return std::move(found_); }

private:
  std::vector<std::string> found_;
};

} // namespace gristmill
