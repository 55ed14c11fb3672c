// SCHEMA TEXT: a JSON schema as its user wrote it, made ready for the library that checks: what the
// library would do by means of its own, or by going elsewhere, is taken out or renamed. Invariant:
// what is data in a schema (enum, const, names of properties) stays as it is.
#pragma once

#include "protocol/result.hpp"

#include <nlohmann/json.hpp>
#include <re2/re2.h>
#include <string_view>

namespace gristmill::openai {

// In the place of `pattern`, whose constraint is ours.
inline constexpr std::string_view own_pattern = "gristmill-pattern";
// In each schema: counts how often one is applied.
inline constexpr std::string_view own_step = "gristmill-step";

// How patterns are compiled, wherever.
RE2::Options pattern_options();

// Errors name the place as a JSON pointer: a type that there is none of, a reference that does not
// lead to a schema here or leads in a circle, a pattern that RE2 does not take, patternProperties,
// too deep, too many that refer to others.
Result<nlohmann::json> prepared_schema(const nlohmann::json& schema);

} // namespace gristmill::openai
