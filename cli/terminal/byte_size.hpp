// A number of bytes as a user says it.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::cli {

// "1048576", "64K", "500M", "20G", "1T", or with iB as "20GiB": powers of 1024. A fault names the
// option.
Result<std::uint64_t> byte_size_of(const std::string& text, std::string_view option);

} // namespace gristmill::cli
