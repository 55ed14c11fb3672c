#include "protocol/openai/api.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <array>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

struct AllowedPath {
  std::string_view path;
  Api api;
};

constexpr std::array<AllowedPath, 7> allowed_paths{{
    {"/chat/completions", Api::chat},
    {"/completions", Api::completions},
    {"/responses", Api::responses},
    {"/embeddings", Api::embeddings},
    {"/moderations", Api::other},
    {"/score", Api::other},
    {"/rerank", Api::other},
}};

std::string list_of_paths() {
  std::string list;
  for (const AllowedPath& row : allowed_paths)
    list += fmt::format("{}/v1{}", list.empty() ? "" : ", ", row.path);
  return list;
}

} // namespace

// Only whole, exact paths pass, so nothing in a url can name another host or climb out of the base.
Result<std::string> path_of(std::string_view url) {
  std::string_view path = url;
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  for (const AllowedPath& row : allowed_paths)
    if (row.path == path) return std::string{path};
  return fail(ErrorCode::bad_input, fmt::format("expected url to be one of {}, got \"{}\"",
                                                list_of_paths(), json::printable(url, 100)));
}

Api api_of(std::string_view path) {
  for (const AllowedPath& row : allowed_paths)
    if (row.path == path) return row.api;
  return Api::other;
}

} // namespace gristmill::openai
