#include "coordinator/cache/cache_directory.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/cache/cache_schema.hpp"
#include "coordinator/disk/state_directory.hpp"

#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr auto look_again = std::chrono::milliseconds{2};
constexpr int damaged_kept_max = 3; // further ones replace the last

// The head of a database, as https://www.sqlite.org/fileformat.html has it.
constexpr std::string_view database_magic{"SQLite format 3\0", 16};
constexpr char format_max = 2; // SQLite only reads what has a later one
constexpr std::size_t database_header = 100, pages_at = 28, format_at = 18, version_at = 60,
                      application_at = 68;

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t n = 0; n < 4; ++n)
    number = number << 8 | static_cast<unsigned char>(bytes[at + n]);
  return number;
}

bool is_there(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

Result<std::string> head_of(const std::string& path) {
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  std::string head(database_header, '\0');
  const auto got = read_at(*file, 0, head, path);
  GRISTMILL_TRY(got);
  head.resize(*got);
  return head;
}

} // namespace

CacheDirectory::CacheDirectory(std::string path)
    : path_{std::move(path)}, file_{path_ + "/" + cache_file_name} {}

Result<CacheDirectory> CacheDirectory::make(std::string path) {
  CacheDirectory directory{std::move(path)};
  GRISTMILL_TRY(directory.open());
  return directory;
}

Result<CacheDirectory> CacheDirectory::find(std::string path) {
  const CacheDirectory looked_for{path};
  struct stat about {};
  // SQLite takes one byte for none.
  if (::lstat(looked_for.file_.c_str(), &about) != 0 || about.st_size <= 1)
    return fail(ErrorCode::not_found,
                fmt::format("expected the directory of an answer cache, there is no {} in {}: name "
                            "the one that --cache named",
                            cache_file_name, looked_for.path_));
  return make(std::move(path));
}

Result<> CacheDirectory::open() {
  GRISTMILL_TRY(make_directory(path_));
  GRISTMILL_TRY(refuse_untrusted_directory(path_, "cache directory", "--cache"));
  auto opened = open_file(path_, O_RDONLY | O_DIRECTORY);
  GRISTMILL_TRY(opened);
  directory_ = std::move(*opened);
  return {};
}

bool CacheDirectory::is_in_place() const {
  struct stat named {
  }, held{};
  return ::stat(path_.c_str(), &named) == 0 && ::fstat(directory_.get(), &held) == 0 &&
         named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

Result<std::optional<CacheLock>> CacheDirectory::lock(Access access,
                                                      std::chrono::milliseconds patience) {
  const int how = (access == Access::read ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const Time until = boot_now() + patience;
  for (;;) {
    if (::flock(directory_.get(), how) == 0) {
      CacheLock held{directory_.get()};
      if (is_in_place()) return std::optional{std::move(held)};
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return tl::unexpected{disk_error("flock", path_)};
    }
    if (!is_in_place())
      GRISTMILL_TRY(open());
    else if (boot_now() >= until)
      return std::optional<CacheLock>{};
    else
      std::this_thread::sleep_for(look_again);
  }
}

Result<> CacheDirectory::refuse_foreign() const {
  struct stat about {};
  if (::lstat(file_.c_str(), &about) != 0)
    return errno == ENOENT ? Result<>{} : tl::unexpected{disk_error("stat", file_)};
  if (!S_ISREG(about.st_mode))
    return fail(ErrorCode::conflict, fmt::format("expected {} to be an answer cache, it is no "
                                                 "regular file: choose another directory with "
                                                 "--cache",
                                                 file_));
  const auto head = head_of(file_);
  GRISTMILL_TRY(head);
  // What is no database at all is damaged, which SQLite finds.
  if (head->size() < database_header || !head->starts_with(database_magic)) return {};
  const std::uint32_t application = number_at(*head, application_at);
  const std::uint32_t version = number_at(*head, version_at);
  if (application == 0 && number_at(*head, pages_at) <= 1) return {}; // a start that died early
  if (application != cache_application_id || (*head)[format_at] > format_max)
    return fail(ErrorCode::conflict,
                fmt::format("expected an answer cache, {} is a database of another program (or "
                            "damaged at its beginning): choose another directory with --cache",
                            file_));
  if (version != cache_version)
    return fail(ErrorCode::conflict,
                fmt::format("expected version {} of an answer cache, {} has version {}: use the "
                            "release that wrote it, or choose another directory with --cache",
                            cache_version, file_, version));
  return {};
}

Result<> CacheDirectory::make_file() const {
  const auto file = open_file(file_, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  GRISTMILL_TRY(file);
  return {};
}

Result<std::string> CacheDirectory::move_aside() const {
  int number = 1;
  const auto name = [&] { return fmt::format("{}.damaged-{}", file_, number); };
  while (number < damaged_kept_max && is_there(name())) ++number;
  // Its journal first: beside a new file it would be taken for that one's.
  const std::string journal = file_ + "-journal", kept_journal = name() + "-journal";
  if (is_there(journal))
    GRISTMILL_TRY(rename_file(journal, kept_journal));
  else
    ::unlink(kept_journal.c_str());
  GRISTMILL_TRY(rename_file(file_, name()));
  return name();
}

} // namespace gristmill::coordinator
