#include "coordinator/inputs/digest.hpp"

#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

Result<std::string> digest_of(const journal::ByteReader& bytes, const std::string& path,
                              std::uint64_t from, std::uint64_t most) {
  ListDigest digest;
  std::string piece(1u << 20, '\0');
  for (std::uint64_t read = 0; read < most;) {
    const auto size = std::min<std::uint64_t>(piece.size(), most - read);
    const auto got = bytes.read(from + read, {piece.data(), static_cast<std::size_t>(size)});
    if (!got) return tl::unexpected{cannot_read(path, got.error())};
    if (*got == 0) break;
    digest.add(std::string_view{piece}.substr(0, *got));
    read += *got;
  }
  return digest.text();
}

Result<> InputDigests::take(InputSpec& input) {
  if (input.modified_ns == 0 || input.offset > 0 || input.files > 0 || input.bytes > left_)
    return {};
  const auto opened = roots_.open_file(input.path);
  if (!opened)
    return fail(opened.error().code, fmt::format("{}: expected a readable input file: {}",
                                                 input.path, opened.error().message));
  auto digest = digest_of(*opened->file, input.path);
  GRISTMILL_TRY(digest);
  left_ -= input.bytes;
  const bool same =
      opened->about.modified_ns == input.modified_ns && opened->about.bytes == input.bytes;
  if (same) input.digest = std::move(*digest);
  return {};
}

} // namespace gristmill::coordinator
