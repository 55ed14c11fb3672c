// APPENDS: what was appended to an open job, by the keys under which its users did so. A key is
// kept for the job's life, so that whoever lost the answer may simply ask again. Plain data and
// rules. Invariant: a key names one thing, and nothing is appended to what is closed.
#pragma once

#include "actors/jobs/questions.hpp"
#include "actors/words/records.hpp"
#include "protocol/result.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::jobs {

class Appends {
public:
  void recovered(const std::vector<journal::AppendNote>& notes, bool is_closed);

  // What was appended before under the key: an error if it was something else.
  Result<std::optional<Appended>> known(const AppendInputs& wanted) const;
  // For the journal; the inputs have the number of their append before their names.
  Result<journal::AppendNote> append(AppendInputs wanted);
  void close() { is_closed_ = true; }

  bool is_closed() const { return is_closed_; }
  std::uint64_t count() const { return by_key_.size(); }
  const std::vector<InputSpec>& inputs() const { return inputs_; } // of all

private:
  struct Known {
    std::uint64_t number = 0;
    std::string hash;
  };
  std::map<std::string, Known, std::less<>> by_key_;
  std::vector<InputSpec> inputs_;
  bool is_closed_ = false;
};

} // namespace gristmill::jobs
