// What may be wrong with an endpoint as somebody wrote it down, for options, job specifications and
// configuration files alike. Each says what was expected; empty = nothing is wrong.
#pragma once

#include <string>
#include <string_view>

namespace gristmill {

std::string_view fault_of_url(std::string_view base_url);
std::string_view fault_of_environment_name(std::string_view name);

// Credentials in a refused URL are not repeated.
std::string without_credentials(std::string_view url);

std::string without_trailing_slash(std::string url);

} // namespace gristmill
