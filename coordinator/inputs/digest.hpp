// INPUT DIGEST: what an input held when its job began, so that one that was only touched, copied or
// put back is still the same. Reading costs time before the first call, so that of very large
// inputs no digest is taken: of those size and time must not change.
#pragma once

#include "coordinator/inputs/roots.hpp"

#include <cstdint>
#include <string>

namespace gristmill::coordinator {

// Of the bytes from there on, or of so many of them at most. An error names the path.
Result<std::string> digest_of(const journal::ByteReader& bytes, const std::string& path,
                              std::uint64_t from = 0, std::uint64_t most = ~std::uint64_t{0});

// Takes the digests of a job's inputs one after the other, while their bytes are within a bound.
class InputDigests {
public:
  explicit InputDigests(std::uint64_t bytes_max, InputRoots roots = {})
      : left_{bytes_max}, roots_{std::move(roots)} {}
  // Of a whole file that was looked at; one that changes meanwhile gets none.
  Result<> take(InputSpec& input);

private:
  std::uint64_t left_;
  InputRoots roots_;
};

} // namespace gristmill::coordinator
