#include "worker/http/api_keys.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string_view>
#include <sys/stat.h>

namespace gristmill::worker {

namespace {

constexpr std::size_t key_bytes_max = 16 * 1024;
constexpr std::string_view header = "Authorization: Bearer ";

// Editors and shells leave such things around a key; none is a part of one.
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n", byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const auto first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

using Owner = ApiKeys::Owner;

Result<std::string> from_environment(const std::string& name, Owner owner) {
  const char* value = std::getenv(name.c_str());
  const std::string_view key = trimmed(value == nullptr ? "" : value);
  const bool missing = key.empty();
  if (missing && owner == Owner::command) return fail(ErrorCode::not_found, "which is not set");
  if (missing)
    return fail(ErrorCode::not_found,
                fmt::format("The environment variable {} of this worker is not set; it must hold "
                            "the endpoint's API key where the worker runs: set it there and start "
                            "the worker again.",
                            name));
  return std::string{key};
}

// What is empty once it was read: whoever looks at it first would take it from the others.
bool can_be_read_once(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

Result<std::string> from_file(const std::string& path, Owner owner) {
  if (can_be_read_once(path) && owner == Owner::command)
    return fail(
        ErrorCode::not_found,
        "which is a pipe or a device, and workers read the key themselves, again and again");
  if (can_be_read_once(path))
    return fail(ErrorCode::not_found,
                fmt::format("The API key file {} on this worker is a pipe or a device, which can "
                            "be read once only; put the endpoint's key into a file or an "
                            "environment variable there.",
                            path));
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::string text(key_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  const bool opened = file.is_open() && !file.bad();
  if (!opened && owner == Owner::command)
    return fail(ErrorCode::not_found,
                fmt::format("which cannot be read ({})", std::strerror(errno)));
  if (!opened)
    return fail(ErrorCode::not_found,
                fmt::format("The API key file {} cannot be read on this worker ({}); put the "
                            "endpoint's key there, readable by the worker.",
                            path, std::strerror(errno)));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > key_bytes_max && owner == Owner::command)
    return fail(ErrorCode::bad_input, fmt::format("which holds more than {} bytes", key_bytes_max));
  if (text.size() > key_bytes_max)
    return fail(ErrorCode::bad_input, fmt::format("The API key file {} on this worker holds more "
                                                  "than {} bytes; it must hold the key and "
                                                  "nothing else.",
                                                  path, key_bytes_max));
  const std::string_view key = trimmed(text);
  if (key.empty() && owner == Owner::command) return fail(ErrorCode::not_found, "which is empty");
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
  const Result<std::string> key =
      env.empty() ? from_file(file, owner_) : from_environment(env, owner_);
  if (!key) return tl::unexpected<Error>{key.error()};
  // A line break would let the key's text continue as a header of its own.
  const bool printable = std::all_of(key->begin(), key->end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (!printable && owner_ == Owner::command)
    return fail(ErrorCode::bad_input, "which holds a line break or another control character");
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
