// The version that every program prints; the same as in CMakeLists.txt.
#pragma once

namespace gristmill {

inline constexpr const char* program_version = "0.1.0";

} // namespace gristmill
