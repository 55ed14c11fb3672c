// COMPRESSOR: bytes in, compressed bytes out, for a result whose name asks for it. The window to
// zlib and zstd. Invariant: the same bytes in the same pieces give the same bytes, whenever and
// wherever; no time and no name is in them. Memory does not follow the length.
#pragma once

#include "protocol/job/output_form.hpp"
#include "protocol/result.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

class Compressor {
public:
  virtual ~Compressor() = default;
  // Appends what is ready to `out`; with `last` everything is, and nothing may follow.
  virtual Result<> add(std::string_view bytes, bool last, std::string& out) = 0;

  // Nothing for a form that is not compressed.
  static Result<std::unique_ptr<Compressor>> of(OutputForm form);
};

} // namespace gristmill::coordinator
