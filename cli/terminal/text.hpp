// Numbers, times and text as people read them on a terminal.
#pragma once

#include "protocol/job/preprocessed.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::cli {

std::string grouped(std::uint64_t n);  // 1,234,567
std::string time_span(double seconds); // 42s, 3m07s, 2h05m, 3d04h
std::string dollars(double usd);       // $0.0042, $1.23, $1,234

// What became of the records that were read before there were so many items; empty = nothing that
// needs a word.
std::string sentence_of(std::uint64_t items, const Preprocessed& all);

// How wide a terminal shows UTF-8 text: East Asian characters and emoji take two columns.
std::size_t columns_of(std::string_view text);
// At most so many columns of it, cut between characters, with an ellipsis where something is
// missing.
std::string cut_to(std::string_view text, std::size_t columns);

} // namespace gristmill::cli
