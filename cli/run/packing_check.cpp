#include "cli/run/packing_check.hpp"

#include "coordinator/disk/file_io.hpp"
#include "coordinator/inputs/unpacker.hpp"

#include <array>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

using coordinator::Packing;

constexpr std::uint64_t packed_bytes_max = std::uint64_t{1} << 30; // some 15 s to unpack

Result<> unpack_all(Packing packing, const coordinator::FileDescriptor& file,
                    const std::string& path) {
  std::uint64_t offset = 0;
  const auto unpacker = coordinator::Unpacker::open(packing, [&](std::span<char> into) {
    auto read = coordinator::read_at(file, offset, into, path);
    if (read) offset += *read;
    return read;
  });
  std::vector<char> bytes(256 * 1024);
  for (;;) {
    const auto got = unpacker->next(bytes);
    GRISTMILL_TRY(got);
    if (*got == 0) return {};
  }
}

Result<> check_one(const InputSpec& input) {
  const auto file = coordinator::open_file(input.path, O_RDONLY);
  GRISTMILL_TRY(file);
  std::array<char, 16> head{};
  const auto got = coordinator::read_at(*file, 0, head, input.path);
  GRISTMILL_TRY(got);
  const auto packing = coordinator::packing_of(input.name, {head.data(), *got});
  GRISTMILL_TRY(packing);
  return *packing == Packing::none ? Result<>{} : unpack_all(*packing, *file, input.path);
}

} // namespace

Result<> check_packing(const std::vector<InputSpec>& inputs) {
  std::uint64_t left = packed_bytes_max;
  for (const InputSpec& input : inputs) {
    if (input.bytes > left) continue;
    left -= input.bytes;
    if (auto whole = check_one(input); !whole)
      return fail(whole.error().code,
                  fmt::format("INPUT {}: {}", input.name, whole.error().message));
  }
  return {};
}

} // namespace gristmill::cli
