// NAMED: enums whose values have names in what people and programs write. Invariant: enum_names<E>
// has one name for each value, in their order.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

template <class E> inline constexpr std::array<std::string_view, 0> enum_names{};
template <class E>
concept NamedEnum = enum_names<E>
.size() > 0;

template <NamedEnum E> constexpr std::string_view name_of(E value) {
  return enum_names<E>[static_cast<std::size_t>(value)];
}

template <NamedEnum E> constexpr std::optional<E> named(std::string_view name) {
  const auto it = std::find(enum_names<E>.begin(), enum_names<E>.end(), name);
  if (it == enum_names<E>.end()) return std::nullopt;
  return static_cast<E>(it - enum_names<E>.begin());
}

// "chat, embed or classify"
template <NamedEnum E> std::string list_of_names() {
  std::string list;
  for (std::size_t i = 0; i < enum_names<E>.size(); ++i) {
    if (i > 0) list += i + 1 == enum_names<E>.size() ? " or " : ", ";
    list += enum_names<E>[i];
  }
  return list;
}

} // namespace gristmill
