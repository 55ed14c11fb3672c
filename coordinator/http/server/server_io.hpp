// What the HTTP server's library says of a request, and what it is given to send.
#pragma once

#include "coordinator/http/server/task.hpp"

#include <microhttpd.h>
#include <string_view>
#include <sys/socket.h>

namespace gristmill::coordinator {

// More than any route has: the library keeps each in a buffer that is shared with the head.
inline constexpr std::size_t arguments_max = 64;

HttpRequest head_of(MHD_Connection* connection, const char* path, std::string_view method);
std::size_t head_bytes(MHD_Connection* connection);
bool has_body(const HttpRequest& head);
int socket_of(MHD_Connection* connection);
const sockaddr* peer_of(MHD_Connection* connection);

// What is wrong with the target of a request as it came, before it is decoded; empty = nothing.
std::string fault_of(std::string_view target);
std::size_t arguments_in(std::string_view target);

MHD_Response* response_of(const HttpResponse& answer);
MHD_Result send(MHD_Connection* connection, const HttpResponse& answer, MHD_Response* response);

} // namespace gristmill::coordinator
