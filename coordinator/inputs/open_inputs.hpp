// OPEN INPUTS: the input files that a process holds open, those that all of its jobs used last, so
// that jobs that wait do not take a descriptor each. Whoever reads a file keeps it meanwhile.
// Invariant: at most so many are held.
#pragma once

#include "actors/journal/byte_reader.hpp"
#include "coordinator/disk/scratch_file.hpp"
#include "coordinator/inputs/unpacker.hpp"

#include <list>
#include <memory>
#include <mutex>
#include <string>

namespace gristmill::coordinator {

struct OpenInput {
  std::string path;
  std::unique_ptr<journal::ByteReader> file;
  std::uint64_t from = 0, bytes = ~std::uint64_t{0}; // what of the file is the input's
  std::uint64_t ends_at = 0;             // the file has as many bytes or more; 0: nobody has looked
  bool grows = false;                    // as of InputSpec
  std::string shared;                    // the file below the shared directory; empty = elsewhere
  std::unique_ptr<ScratchFile> unpacked; // none: the file is not compressed
  std::unique_ptr<Unpacker> unpacker;    // none: all of it is unpacked
};

class OpenInputs {
public:
  explicit OpenInputs(std::size_t most) : most_{most} {}
  // A part of what the process may have open.
  static std::shared_ptr<OpenInputs> of_process();

  void hold(const std::shared_ptr<OpenInput>& input); // now, or again: it was used just now
  void let_go(const std::shared_ptr<OpenInput>& input);
  // The one that is missed least, because a descriptor is needed; false: none is held.
  bool let_go_one();

private:
  using Held = std::list<std::shared_ptr<OpenInput>>;
  Held take_one();

  const std::size_t most_;
  std::mutex mutex_;
  Held held_; // the most recently used first
};

} // namespace gristmill::coordinator
