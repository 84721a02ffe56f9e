/* function.c: the symbol is there, but no table. */
void nb_plugin(void);
void nb_plugin(void)
{
}
