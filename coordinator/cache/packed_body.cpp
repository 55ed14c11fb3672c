#include "coordinator/cache/packed_body.hpp"

#include <memory>
#include <zstd.h>

namespace gristmill::coordinator {
namespace {

constexpr int level = 3;

struct Free {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

} // namespace

std::optional<std::string> packed_body(std::string_view body) {
  thread_local const std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
  std::string packed(ZSTD_compressBound(body.size()), '\0');
  const std::size_t bytes = ZSTD_compressCCtx(context.get(), packed.data(), packed.size(),
                                              body.data(), body.size(), level);
  if (context == nullptr || ZSTD_isError(bytes)) return std::nullopt;
  packed.resize(bytes);
  packed.shrink_to_fit();
  return packed;
}

std::optional<std::string> unpacked_body(std::string_view packed, std::uint64_t size) {
  thread_local const std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  std::string body(size, '\0');
  const std::size_t bytes =
      ZSTD_decompressDCtx(context.get(), body.data(), body.size(), packed.data(), packed.size());
  if (context == nullptr || ZSTD_isError(bytes) || bytes != size) return std::nullopt;
  return body;
}

} // namespace gristmill::coordinator
