// PACKED BODY: one text as one zstd frame. Answers are short, and there are many: what a frame is
// made with is made once for each thread. Invariant: what is no whole frame of a text of the stated
// size is nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

std::optional<std::string> packed_body(std::string_view body); // nothing: there is no memory
std::optional<std::string> unpacked_body(std::string_view packed, std::uint64_t size);

} // namespace gristmill::coordinator
