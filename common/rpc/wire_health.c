#include "common/rpc/wire_health.h"
#include "common/base/alloc.h"

#include "health.pb-c.h"
#include <string.h>

enum ft_status
wire_health_request(struct ft_bytes bytes, char service[HEALTH_SERVICE_MAX + 1])
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Grpc__Health__V1__HealthCheckRequest *m;
    enum ft_status st = FT_ERR_FORMAT;

    service[0] = '\0';
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + (64 << 10));
    m = grpc__health__v1__health_check_request__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    if (strlen(m->service) <= HEALTH_SERVICE_MAX) {
        memcpy(service, m->service, strlen(m->service) + 1);
        st = FT_OK;
    }
    grpc__health__v1__health_check_request__free_unpacked(m, &allocator);
    return st;
}

enum ft_status
wire_health_reply(enum health_status status, struct ft_buf *out)
{
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    uint8_t packed[16]; /* one varint field */
    size_t size;
    m.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    size = grpc__health__v1__health_check_response__pack(&m, packed);
    return ft_buf_append(out, packed, size);
}
