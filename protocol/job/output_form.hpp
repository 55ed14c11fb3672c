// OUTPUT FORM: what a result is written as, told by the name of its file alone, so that command,
// checks and merger agree without a word of configuration.
#pragma once

#include <cstdint>
#include <string_view>

namespace gristmill {

enum class OutputForm : std::uint8_t {
  lines,  // JSON lines
  gzip,   // JSON lines, compressed
  zstd,   // JSON lines, compressed
  npy,    // a NumPy array of embeddings, and JSON lines that say whose they are
  stream, // "-": whoever runs the job prints the lines as they become durable
};

constexpr OutputForm output_form(std::string_view path) {
  if (path == "-") return OutputForm::stream;
  if (path.ends_with(".gz")) return OutputForm::gzip;
  if (path.ends_with(".zst")) return OutputForm::zstd;
  return path.ends_with(".npy") ? OutputForm::npy : OutputForm::lines;
}

} // namespace gristmill
