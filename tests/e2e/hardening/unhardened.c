/* A program built without any hardening, so that the check can be seen to fail. */
int
main(void)
{
    return 0;
}
