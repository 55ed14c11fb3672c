#include "coordinator/http/server/server_io.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

MHD_Result collect_argument(void* into, MHD_ValueKind, const char* key, std::size_t key_bytes,
                            const char* value, std::size_t value_bytes) {
  auto& query = *static_cast<decltype(HttpRequest::query)*>(into);
  query[{key, key_bytes}] = value == nullptr ? std::string{} : std::string{value, value_bytes};
  return MHD_YES;
}

MHD_Result collect_header(void* into, MHD_ValueKind, const char* key, std::size_t key_bytes,
                          const char* value, std::size_t value_bytes) {
  static_cast<HttpHeaders*>(into)->add(
      {key, key_bytes}, value == nullptr ? std::string{} : std::string{value, value_bytes});
  return MHD_YES;
}

} // namespace

HttpRequest head_of(MHD_Connection* connection, const char* path, std::string_view method) {
  HttpRequest head;
  head.method = method == "HEAD" ? "GET" : method;
  head.path = path;
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, collect_header, &head.headers);
  MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, collect_argument, &head.query);
  const std::string length = head.headers.get("Content-Length");
  std::uint64_t bytes = 0;
  if (std::from_chars(length.data(), length.data() + length.size(), bytes).ec == std::errc{})
    head.content_length = bytes;
  return head;
}

bool has_body(const HttpRequest& head) {
  return head.content_length.value_or(0) > 0 || head.headers.find("Transfer-Encoding") != nullptr;
}

std::size_t head_bytes(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info == nullptr ? 0 : info->header_size;
}

int socket_of(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == nullptr ? -1 : info->connect_fd;
}

const sockaddr* peer_of(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info == nullptr ? nullptr : info->client_addr;
}

std::size_t arguments_in(std::string_view target) {
  const auto query = target.find('?');
  if (query == target.npos) return 0;
  return 1 + static_cast<std::size_t>(std::count(
                 target.begin() + static_cast<std::ptrdiff_t>(query), target.end(), '&'));
}

std::string fault_of(std::string_view target) {
  if (arguments_in(target) > arguments_max)
    return fmt::format("expected at most {} arguments after ?, got {}", arguments_max,
                       arguments_in(target));
  // It would end the text there: another path or argument than was asked for.
  if (target.find("%00") != target.npos) return "expected no %00 in a path or an argument, got one";
  return {};
}

MHD_Response* response_of(const HttpResponse& answer) {
  return MHD_create_response_from_buffer(answer.body.size(), const_cast<char*>(answer.body.data()),
                                         MHD_RESPMEM_MUST_COPY);
}

MHD_Result send(MHD_Connection* connection, const HttpResponse& answer, MHD_Response* response) {
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, "Content-Type", answer.content_type.c_str());
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.headers)
    MHD_add_response_header(response, name.c_str(), value.c_str());
  const auto queued =
      MHD_queue_response(connection, static_cast<unsigned>(answer.status), response);
  MHD_destroy_response(response);
  return queued;
}

} // namespace gristmill::coordinator
