#include "coordinator/inputs/uploads.hpp"

#include "protocol/text/json_text.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <vector>

namespace gristmill::coordinator {

namespace fs = std::filesystem;

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

Result<std::unique_ptr<Uploads>> Uploads::open(std::shared_ptr<journal::BlobStore> blobs,
                                               const std::string& state_directory,
                                               const std::string& data_root) {
  std::string real_root;
  if (!data_root.empty()) {
    auto real = real_directory(data_root, "--data-root");
    GRISTMILL_TRY(real);
    real_root = std::move(*real);
    GRISTMILL_TRY(keep_apart(real_root, "--state", state_directory));
  }
  return std::unique_ptr<Uploads>{new Uploads{std::move(blobs), std::move(real_root)}};
}

Uploads::Uploads(std::shared_ptr<journal::BlobStore> blobs, std::string data_root)
    : blobs_{std::move(blobs)}, data_root_{std::move(data_root)},
      roots_{data_root_.empty() ? std::vector<std::string>{} : std::vector{data_root_}, blobs_} {}

Result<std::unique_ptr<journal::BlobWriter>> Uploads::begin(std::string_view name,
                                                            std::optional<std::uint64_t> bytes) {
  return blobs_->begin(name, bytes);
}

void Uploads::finish(std::unique_ptr<journal::BlobWriter> upload, std::string rest,
                     Finished finished) {
  const std::shared_ptr<journal::BlobWriter> shared = std::move(upload);
  finishing_.order([shared, rest = std::move(rest), finished = std::move(finished)] {
    const auto appended = shared->append(rest);
    finished(appended ? shared->finish() : tl::unexpected{appended.error()});
  });
}

Result<std::string> Uploads::located(const std::string& path) const {
  std::error_code error;
  const fs::path asked = data_root_.empty() ? fs::path{path} : fs::path{data_root_} / path;
  // Without links and "..", as far as it exists; what lies outside is not even looked at.
  fs::path real = fs::weakly_canonical(asked, error);
  if (!error && !real.has_filename()) real = real.parent_path(); // "a/b/" is "a/b"
  const bool uploaded = !error && blobs_->is_place(real);
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

} // namespace gristmill::coordinator
