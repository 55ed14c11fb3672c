#include "cli/run/known_result.hpp"

#include "coordinator/disk/file_io.hpp"
#include "coordinator/disk/file_reader.hpp"
#include "coordinator/journal/mark.hpp"
#include "coordinator/result/product_files.hpp"

namespace gristmill::cli {

Result<bool> is_result_of(const std::string& output, const std::string& state) {
  auto file = coordinator::open_file(output, O_RDONLY | O_NONBLOCK);
  GRISTMILL_TRY(file);
  const std::string head = coordinator::head_of(coordinator::FileReader{std::move(*file)});
  if (head.empty()) return true;
  if (!coordinator::begins_as_result(head)) return false;
  const std::string_view line = std::string_view{head}.substr(0, head.find('\n'));
  return coordinator::segments_hold(state, line);
}

} // namespace gristmill::cli
