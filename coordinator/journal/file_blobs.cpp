#include "coordinator/journal/file_blobs.hpp"

#include "coordinator/disk/disk_room.hpp"
#include "coordinator/result/part_file.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view part_suffix = ".part";
constexpr std::size_t name_bytes_max = 128;

std::string new_id() {
  std::array<unsigned char, 12> random{};
  randombytes_buf(random.data(), random.size());
  std::string id = "input-";
  for (const unsigned char byte : random) id += fmt::format("{:02x}", byte);
  return id;
}

bool is_unfinished(const fs::path& blob) {
  std::error_code error;
  const fs::directory_iterator files{blob, error};
  return std::any_of(begin(files), end(files), [](const fs::directory_entry& file) {
    return file.path().extension() == part_suffix;
  });
}

// Their process has died; their clients know of no file.
void remove_unfinished(const fs::path& root) {
  std::error_code error;
  for (const auto& blob : fs::directory_iterator{root, error})
    if (fs::is_empty(blob.path(), error) || is_unfinished(blob.path()))
      fs::remove_all(blob.path(), error);
}

} // namespace

std::string file_name_of(std::string_view name) {
  name.remove_prefix(name.find_last_of("/\\") + 1); // npos + 1 is 0
  if (name.size() > name_bytes_max) name.remove_prefix(name.size() - name_bytes_max);
  std::string safe{name};
  for (char& c : safe) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  if (safe.empty()) safe = "input";
  if (safe.front() == '.') safe.front() = '_';
  if (safe.ends_with(part_suffix)) safe += '_'; // that suffix says that a file is unfinished
  return safe;
}

class FileBlobs::Writer final : public journal::BlobWriter {
public:
  Writer(const FileBlobs& store, std::string id, std::string path, std::unique_ptr<PartFile> file,
         DiskRoom room)
      : store_{store}, id_{std::move(id)}, path_{std::move(path)}, file_{std::move(file)},
        room_{std::move(room)} {}
  ~Writer() override {
    file_.reset();
    std::error_code error;
    if (!finished_) fs::remove_all(directory(), error);
  }

  Result<> append(std::string_view bytes) override {
    GRISTMILL_TRY(room_.take(bytes.size()));
    return file_->append(bytes);
  }
  Result<std::string> link(const std::string& place) override {
    std::string linked = fmt::format("{}/content-{}", directory().string(), ++links_);
    if (::link(place.c_str(), linked.c_str()) != 0)
      return tl::unexpected{disk_error("link", place)};
    return linked;
  }
  Result<journal::Blob> finish() override {
    auto durable = file_->finish();
    if (durable)
      durable = sync_directory(store_.root_, store_.calls_); // which names the blob's own
    GRISTMILL_TRY(durable);
    finished_ = true;
    return journal::Blob{id_, path_, file_->bytes()};
  }

private:
  fs::path directory() const { return fs::path{path_}.parent_path(); } // its own

  const FileBlobs& store_;
  std::string id_, path_;
  std::unique_ptr<PartFile> file_;
  DiskRoom room_;
  std::uint64_t links_ = 0;
  bool finished_ = false;
};

Result<std::shared_ptr<FileBlobs>> FileBlobs::open_in(const std::string& state_directory,
                                                      DiskCalls calls) {
  const std::string root = state_directory + "/inputs";
  GRISTMILL_TRY(make_directory(root, calls));
  GRISTMILL_TRY(InputRoots::are_possible());
  auto real = real_directory(root, "--state");
  GRISTMILL_TRY(real);
  remove_unfinished(*real);
  return std::shared_ptr<FileBlobs>{new FileBlobs{std::move(*real), std::move(calls)}};
}

Result<std::unique_ptr<journal::BlobWriter>> FileBlobs::begin(std::string_view name,
                                                              std::optional<std::uint64_t> bytes) {
  const DiskRoom room{root_, "uploads"};
  if (auto enough = DiskRoom{room}.take(bytes.value_or(0)); !enough)
    return fail(enough.error().code, enough.error().message + ", or use --in-place");
  const std::string id = new_id();
  const std::string directory = root_ + "/" + id;
  if (::mkdir(directory.c_str(), 0700) != 0) return tl::unexpected{disk_error("mkdir", directory)};
  std::string path = directory + "/" + file_name_of(name);
  auto file = PartFile::create(path, {.readers = Readers::owner, .calls = calls_});
  if (!file) {
    std::error_code ignored;
    fs::remove(directory, ignored);
    return tl::unexpected{file.error()};
  }
  return std::make_unique<Writer>(*this, id, std::move(path), std::move(*file), room);
}

bool FileBlobs::owns(const std::string& path) const {
  return path.starts_with(root_ + "/");
}

bool FileBlobs::is_place(const std::string& path) const {
  std::error_code ignored;
  return owns(path) && fs::path{path}.extension() != part_suffix &&
         !fs::is_directory(path, ignored);
}

std::string FileBlobs::id_of(const std::string& place) const {
  if (!owns(place)) return {};
  const std::size_t begin = root_.size() + 1, end = place.find('/', begin);
  return end == place.npos ? std::string{} : place.substr(begin, end - begin);
}

Result<std::unique_ptr<journal::ByteReader>> FileBlobs::open(const std::string& place) const {
  auto opened = files_.open_file(place);
  GRISTMILL_TRY(opened);
  return std::move(opened->file);
}

bool FileBlobs::remove(const std::string& id) {
  std::error_code ignored;
  // A name and no way to somewhere else.
  if (id.empty() || id == "." || id == ".." || id.find('/') != id.npos) return false;
  return fs::remove_all(fs::path{root_} / id, ignored) > 0;
}

std::size_t FileBlobs::remove_unused(std::chrono::seconds age,
                                     const std::function<bool(const std::string& id)>& in_use) {
  std::error_code error;
  std::vector<fs::path> unused;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& blob : fs::directory_iterator{root_, error}) {
    // Its directory changed last when it was complete.
    const auto changed = fs::last_write_time(blob.path(), error);
    if (!error && now - changed > age && !in_use(blob.path().filename()) &&
        !is_unfinished(blob.path()))
      unused.push_back(blob.path());
  }
  for (const fs::path& blob : unused) fs::remove_all(blob, error);
  return unused.size();
}

} // namespace gristmill::coordinator
