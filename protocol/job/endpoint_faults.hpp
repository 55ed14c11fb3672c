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

// Where an endpoint's server says how many calls wait: the worker looks for the page by itself.
inline constexpr std::string_view metrics_found = "auto";
// What is wrong with it as an endpoint's metrics_url; "" and metrics_found are right.
std::string_view fault_of_metrics_url(std::string_view url);
// http://host:8000/metrics for http://host:8000/any/path
std::string metrics_page_of(std::string_view url);

} // namespace gristmill
