#include "coordinator/gateway/allow_list.hpp"

namespace gristmill::coordinator {
namespace {

bool same_version(const struct stat& a, const struct stat& b) {
  return a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode;
}

} // namespace

AllowList::AllowList(std::string file, std::function<void(const Event&)> log)
    : file_{std::move(file)}, log_{std::move(log)} {}

Result<std::unique_ptr<AllowList>> AllowList::open(const std::string& file,
                                                   std::function<void(const Event&)> log) {
  std::unique_ptr<AllowList> list{new AllowList{file, std::move(log)}};
  GRISTMILL_TRY(list->reload());
  return list;
}

std::optional<std::string> AllowList::name_of(std::string_view public_key) {
  const std::lock_guard lock{mutex_};
  struct stat now {};
  ::stat(file_.c_str(), &now); // of a missing file: all zero, a version like any other
  if (!same_version(now, seen_)) {
    const auto loaded = reload();
    if (log_ && loaded)
      log_({"allow_list.loaded", {{"file", file_}, {"keys", std::to_string(keys_.size())}}, false});
    if (log_ && !loaded) log_({"allow_list.kept", {{"why", loaded.error().message}}, true});
    seen_ = now;
  }
  const auto found = keys_.find(public_key);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

Result<> AllowList::reload() {
  ::stat(file_.c_str(), &seen_);
  auto keys = read_allowed_keys(file_);
  GRISTMILL_TRY(keys);
  keys_ = std::move(*keys);
  return {};
}

} // namespace gristmill::coordinator
