#include "worker/api_keys.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string_view>

namespace gristmill::worker {

namespace {

constexpr std::size_t key_bytes_max = 16 * 1024;
constexpr std::string_view header = "Authorization: Bearer ";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const auto first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

Result<std::string> from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0')
    return fail(ErrorCode::not_found,
                fmt::format("The environment variable {} of this worker is not set; it must hold "
                            "the endpoint's API key where the worker runs: set it there and start "
                            "the worker again.",
                            name));
  return std::string{value};
}

Result<std::string> from_file(const std::string& path) {
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::string text(key_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  const bool opened = file.is_open() && !file.bad();
  if (!opened)
    return fail(ErrorCode::not_found,
                fmt::format("The API key file {} cannot be read on this worker ({}); put the "
                            "endpoint's key there, readable by the worker.",
                            path, std::strerror(errno)));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > key_bytes_max)
    return fail(ErrorCode::bad_input, fmt::format("The API key file {} on this worker holds more "
                                                  "than {} bytes; it must hold the key and "
                                                  "nothing else.",
                                                  path, key_bytes_max));
  const std::string_view key = trimmed(text);
  if (key.empty())
    return fail(ErrorCode::not_found, fmt::format("The API key file {} on this worker is empty; "
                                                  "put the endpoint's key there.",
                                                  path));
  return std::string{key};
}

} // namespace

Result<const std::string*> ApiKeys::authorization(const std::string& env, const std::string& file) {
  if (env.empty() && file.empty()) return nullptr;
  auto name = std::pair{env, file};
  if (const auto known = lines_.find(name); known != lines_.end()) return &known->second;
  const Result<std::string> key = env.empty() ? from_file(file) : from_environment(env);
  if (!key) return tl::unexpected<Error>{key.error()};
  // A line break would let the key's text continue as a header of its own.
  const bool printable = std::all_of(key->begin(), key->end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (!printable)
    return fail(ErrorCode::bad_input,
                fmt::format("The API key in {} {} of this worker contains a line break or another "
                            "control character; it must be one line of text.",
                            env.empty() ? "file" : "environment variable",
                            env.empty() ? file : env));
  return &lines_.emplace(std::move(name), std::string{header} + *key).first->second;
}

std::string_view ApiKeys::key_in(std::string_view authorization) {
  return authorization.substr(header.size());
}

} // namespace gristmill::worker
