// INPUT LIST: a job's inputs by number. A few stand in the specification; many (a directory of a
// hundred thousand documents) in a file of JSON lines that the specification names with its digest,
// of which a block at a time is in memory. Invariant: the list is the one that the job began with.
#pragma once

#include "coordinator/inputs/roots.hpp"
#include "protocol/job/spec.hpp"

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

// More inputs than a specification should hold; beyond it they stand in a list.
inline constexpr std::size_t inputs_in_spec_max = 1'000;

// The digest of a list's text, added piece by piece.
class ListDigest {
public:
  ListDigest();
  ~ListDigest();
  ListDigest(ListDigest&&) noexcept;
  void add(std::string_view text);
  std::string text(); // once, at the end

private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string digest_of_list(std::string_view text);
// The one input that stands for so many, in a list at this path.
InputSpec listed_input(std::string path, std::uint64_t files, std::uint64_t bytes,
                       std::string digest);

class InputList {
public:
  // A list is opened each time that something of it is read.
  static Result<InputList> open(const std::vector<InputSpec>& inputs, InputRoots roots = {});

  std::uint32_t count() const { return count_; }
  bool is_listed() const { return !path_.empty(); }
  // Valid until another is asked for.
  Result<const InputSpec*> at(std::uint32_t number);

private:
  static constexpr std::uint32_t block_inputs = 64;
  struct Block {
    std::uint32_t number = 0;
    std::vector<InputSpec> inputs;
  };
  explicit InputList(InputRoots roots) : roots_{std::move(roots)} {}
  Result<> read_index(const InputSpec& list);
  Result<Block> read_block(std::uint32_t number) const;

  std::uint32_t count_ = 0;
  InputRoots roots_;
  std::string path_;                  // empty: all inputs are in the first block
  journal::ByteState about_;          // of the list whose digest was right
  std::vector<std::uint64_t> starts_; // where each block begins, and the end
  std::list<Block> blocks_;           // the most recently used first
};

} // namespace gristmill::coordinator
