#include "coordinator/inputs/uploads.hpp"

#include "coordinator/disk/file_io.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

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

bool is_below(const fs::path& path, const fs::path& root) {
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return in_root == root.end() && in_path != path.end();
}

bool is_unfinished(const fs::path& upload) {
  std::error_code error;
  const fs::directory_iterator files{upload, error};
  return std::any_of(begin(files), end(files), [](const fs::directory_entry& file) {
    return file.path().extension() == part_suffix;
  });
}

// An upload whose process died; its client knows of no file.
void remove_unfinished(const fs::path& inputs) {
  std::error_code error;
  for (const auto& input : fs::directory_iterator{inputs, error})
    if (fs::is_empty(input.path(), error) || is_unfinished(input.path()))
      fs::remove_all(input.path(), error);
}

Result<std::string> real_path(const std::string& path, std::string_view what) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (!error && fs::is_directory(real, error)) return real.string();
  return fail(ErrorCode::usage,
              fmt::format("{}: expected a directory that can be read, got {} ({})", what, path,
                          error ? error.message() : "it is none"));
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

// Jobs read what lies below the data root, and their endpoints get to see it.
Result<> keep_apart(const std::string& data_root, std::string_view option,
                    const std::string& path) {
  std::error_code error;
  const fs::path root = fs::weakly_canonical(data_root, error);
  const fs::path secret = fs::weakly_canonical(path, error);
  if (secret != root && !is_below(secret, root) && !is_below(root, secret)) return {};
  return fail(ErrorCode::usage,
              fmt::format("--data-root: expected a directory apart from {} {}, because jobs may "
                          "read all that is in it, got {}: move one of them",
                          option, path, data_root));
}

Upload::~Upload() {
  file_.reset();
  std::error_code error;
  if (!finished_) fs::remove_all(directory(), error);
}

Result<> Upload::append(std::string_view bytes) {
  if (auto room = room_.take(bytes.size()); !room) return room;
  return file_->append(bytes);
}

std::string Upload::directory() const {
  return fs::path{path_}.parent_path();
}

Result<std::unique_ptr<Uploads>> Uploads::open(const std::string& state_directory,
                                               const std::string& data_root, DiskCalls calls) {
  const std::string inputs = state_directory + "/inputs";
  if (auto made = make_directory(inputs, calls); !made) return tl::unexpected{made.error()};
  if (auto possible = InputRoots::are_possible(); !possible)
    return tl::unexpected{possible.error()};
  auto real_inputs = real_path(inputs, "--state");
  if (!real_inputs) return tl::unexpected{real_inputs.error()};
  std::string real_root;
  if (!data_root.empty()) {
    auto real = real_path(data_root, "--data-root");
    if (!real) return tl::unexpected{real.error()};
    real_root = std::move(*real);
    if (auto apart = keep_apart(real_root, "--state", state_directory); !apart)
      return tl::unexpected{apart.error()};
  }
  remove_unfinished(*real_inputs);
  return std::unique_ptr<Uploads>{
      new Uploads{std::move(*real_inputs), std::move(real_root), std::move(calls)}};
}

Uploads::Uploads(std::string inputs, std::string data_root, DiskCalls calls)
    : inputs_{std::move(inputs)}, data_root_{std::move(data_root)}, calls_{std::move(calls)},
      roots_{data_root_.empty() ? std::vector{inputs_} : std::vector{inputs_, data_root_}} {}

Result<std::unique_ptr<Upload>> Uploads::begin(std::string_view name,
                                               std::optional<std::uint64_t> bytes) {
  const DiskRoom room{inputs_, "uploads"};
  if (auto enough = DiskRoom{room}.take(bytes.value_or(0)); !enough)
    return fail(enough.error().code, enough.error().message + ", or use --in-place");
  const std::string id = new_id();
  const std::string directory = inputs_ + "/" + id;
  if (::mkdir(directory.c_str(), 0700) != 0) return tl::unexpected{disk_error("mkdir", directory)};
  std::string path = directory + "/" + file_name_of(name);
  auto file = PartFile::create(path, {.readers = Readers::owner, .calls = calls_});
  if (!file) {
    std::error_code ignored;
    fs::remove(directory, ignored);
    return tl::unexpected{file.error()};
  }
  return std::make_unique<Upload>(id, std::move(path), std::move(*file), room);
}

void Uploads::finish(std::unique_ptr<Upload> upload, std::string rest, Finished finished) {
  const std::shared_ptr<Upload> shared = std::move(upload);
  finishing_.order([this, shared, rest = std::move(rest), finished = std::move(finished)] {
    const auto appended = shared->append(rest);
    finished(appended ? finish_now(*shared) : tl::unexpected{appended.error()});
  });
}

Result<UploadedFile> Uploads::finish_now(Upload& upload) {
  auto durable = upload.file_->finish();
  if (durable) durable = sync_directory(inputs_, calls_); // which names the upload's own directory
  if (!durable) return tl::unexpected{durable.error()};
  upload.finished_ = true;
  return UploadedFile{upload.id_, upload.path_, upload.file_->bytes()};
}

Result<std::string> Uploads::located(const std::string& path) const {
  std::error_code error;
  const fs::path asked = data_root_.empty() ? fs::path{path} : fs::path{data_root_} / path;
  // Without links and "..", as far as it exists; what lies outside is not even looked at.
  fs::path real = fs::weakly_canonical(asked, error);
  if (!error && !real.has_filename()) real = real.parent_path(); // "a/b/" is "a/b"
  std::error_code ignored;
  const bool uploaded = !error && is_below(real, inputs_) && real.extension() != part_suffix &&
                        !fs::is_directory(real, ignored);
  const bool in_place =
      !error && !data_root_.empty() && (real == data_root_ || is_below(real, data_root_));
  if (path.find('\0') != path.npos || !asked.is_absolute() || !(uploaded || in_place))
    return fail(
        ErrorCode::refused,
        fmt::format("expected an input that was uploaded (POST /api/v1/inputs){}, got \"{}\"",
                    data_root_.empty() ? "; this coordinator has no --data-root"
                                       : " or lies below the coordinator's --data-root",
                    json::printable(path, 200)));
  return real.string();
}

std::string Uploads::id_of(const std::string& path) const {
  const std::string root = inputs_ + "/";
  if (!path.starts_with(root)) return {};
  const std::size_t end = path.find('/', root.size());
  return end == path.npos ? std::string{} : path.substr(root.size(), end - root.size());
}

bool Uploads::remove(const std::string& id) {
  std::error_code ignored;
  // A name and no way to somewhere else.
  if (id.empty() || id == "." || id == ".." || id.find('/') != id.npos) return false;
  return fs::remove_all(fs::path{inputs_} / id, ignored) > 0;
}

std::size_t Uploads::remove_unused(std::chrono::seconds age,
                                   const std::function<bool(const std::string& id)>& in_use) {
  std::error_code error;
  std::vector<fs::path> unused;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& upload : fs::directory_iterator{inputs_, error}) {
    // Its directory changed last when it was complete.
    const auto changed = fs::last_write_time(upload.path(), error);
    if (!error && now - changed > age && !in_use(upload.path().filename()) &&
        !is_unfinished(upload.path()))
      unused.push_back(upload.path());
  }
  for (const fs::path& upload : unused) fs::remove_all(upload, error);
  return unused.size();
}

} // namespace gristmill::coordinator
